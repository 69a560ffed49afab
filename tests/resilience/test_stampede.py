"""Many callers who miss the same answer at once, in one process and in several: the server is asked once.

The scenarios are those of `benchmarks/stampede.py`: a real server that keeps a journal, real processes, and a real
Redis that counts its commands.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from benchmarks.stampede import (
    CALLERS,
    CROWD,
    GRACE,
    LEASE,
    MOST_COMMANDS,
    PROCESSES,
    crowd,
    holder_is_killed,
    leader_gives_up,
    one_process,
    processes,
    together,
    workers,
)
from tests.resilience.conftest import Report
from tests.servers.redis_servers import redis_server
from tests.servers.sharing import SharingClient
from trunkline import CachePolicy
from trunkline.testing import journal
from trunkline.testing.processes import faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.requirement("P5")]


async def test_callers_that_miss_together_ask_the_server_once(tmp_path: Path, report: Report) -> None:
    async with one_process(tmp_path) as client:
        found = await together(client, tmp_path, "op")
    report("P5", "one process", f"{CROWD} callers, {found.origin} origin call(s), {found.answered} answered")
    assert (found.origin, found.answered) == (1, CROWD)


async def test_whoever_came_first_may_give_up_and_all_others_are_answered(tmp_path: Path, report: Report) -> None:
    async with one_process(tmp_path) as client:
        found = await leader_gives_up(client, tmp_path, "op")
    report("P5", "leader cancelled", f"{found.answered} of {CROWD - 1} others answered, {found.origin} origin call(s)")
    assert (found.origin, found.answered) == (1, CROWD - 1)


async def test_processes_that_miss_together_ask_the_server_once_and_redis_little(
    tmp_path: Path, report: Report
) -> None:
    async with (
        redis_server() as redis,
        faulty_http(journal=tmp_path / "journal") as server,
        workers(redis, server, PROCESSES) as found,
    ):
        outcome = await processes(redis, found, tmp_path, "op")
    figures = f"{outcome.origin} origin call(s), {outcome.commands} Redis commands, {outcome.answered} answered"
    report("P5", f"{PROCESSES} x {CALLERS}", figures)
    assert (outcome.origin, outcome.answered) == (1, PROCESSES * CALLERS)
    assert outcome.commands <= MOST_COMMANDS


async def test_the_death_of_the_process_that_asks_keeps_others_waiting_for_its_lease_at_most(
    tmp_path: Path, report: Report
) -> None:
    async with (
        redis_server() as redis,
        faulty_http(journal=tmp_path / "journal") as server,
        workers(redis, server, 2) as found,
    ):
        waited = await holder_is_killed(found, tmp_path, "op")
    report("P5", "holder killed", f"another process asks after {waited:.2f} s, with a lease of {LEASE:g} s")
    assert LEASE / 4 < waited <= LEASE + GRACE


async def test_an_answer_that_is_not_kept_lets_other_processes_go_on_before_the_lease_is_over(tmp_path: Path) -> None:
    refused = CachePolicy(ttl=300.0, lease=30.0, max_item_bytes=1)
    async with redis_server() as redis, faulty_http(journal=tmp_path / "journal") as server, AsyncExitStack() as stack:
        clients = [SharingClient(redis.url, server.endpoint, {"lookup": refused}) for _ in range(2)]
        for client in clients:
            await (await stack.enter_async_context(client)).in_touch()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for client in clients:
                    tasks.start_soon(crowd, client, "op", CALLERS)
        assert journal.executions(tmp_path / "journal")["op"] == len(clients)
