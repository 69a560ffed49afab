"""Waiting for several pools: the first that is ready ends it, and a refusal only where all refuse."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from tests.servers.embedded import Embedded, a_call
from tests.servers.watching import Record
from trunkline import PoolPolicy, ServerPolicy, ServerUnavailable
from trunkline.pool.pool import Pool
from trunkline.pool.waiting import first_ready, first_settled

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]

POLICY = ServerPolicy(pool=PoolPolicy(base=0.1, cap=0.1, connect_timeout=100.0, patience=4.0, grace=1.0))


def a_server(*, delay: float = 0.0, is_up: bool = True) -> Embedded:
    server = Embedded()
    server.delay, server.is_up = delay, is_up
    return server


@asynccontextmanager
async def pools_of(*servers: Embedded, patience: Sequence[float] = ()) -> AsyncGenerator[list[Pool], None]:
    """A pool for each server, `s1` and so on, all running."""
    pools = []
    for number, server in enumerate(servers, 1):
        own = replace(POLICY.pool, patience=patience[number - 1]) if patience else POLICY.pool
        pool = Pool(
            f"s{number}",
            server.endpoint,
            replace(POLICY, pool=own),
            emit=Record(),
            on_listing=lambda _tools: None,
            rng=random.Random(1),
        )
        pools.append(pool)
    async with anyio.create_task_group() as tasks:
        for pool in pools:
            tasks.start_soon(pool.run)
        yield pools
        for pool in pools:
            pool.close()


async def test_the_first_pool_that_is_ready_ends_the_waiting() -> None:
    async with pools_of(a_server(delay=50.0), a_server(delay=2.0), a_server(is_up=False)) as pools:
        started = anyio.current_time()
        await first_ready(pools, a_call(), patience=30.0)

        assert anyio.current_time() - started == pytest.approx(2.0)
        assert [pool.statistics().waiting for pool in pools] == [0, 0, 0]


async def test_a_pool_that_gives_up_does_not_end_the_waiting_for_the_others() -> None:
    async with pools_of(a_server(is_up=False), a_server(delay=20.0)) as pools:
        started = anyio.current_time()
        await first_ready(pools, a_call(), patience=30.0)

        assert anyio.current_time() - started == pytest.approx(20.0)


async def test_when_every_pool_has_given_up_the_last_refusal_is_raised_with_its_reason() -> None:
    down = [a_server(is_up=False) for _ in range(3)]
    async with pools_of(*down, patience=(2.0, 6.0, 4.0)) as pools:
        started = anyio.current_time()
        with pytest.raises(ServerUnavailable, match="cannot be reached: down for repairs") as caught:
            await first_ready(pools, a_call(), patience=30.0)

        assert caught.value.server == "s2"
        assert anyio.current_time() - started == pytest.approx(6.0, abs=0.2)


async def test_waiting_ends_with_its_own_patience_and_names_the_tool_the_server_and_the_time() -> None:
    async with pools_of(a_server(delay=50.0), a_server(delay=50.0)) as pools:
        started = anyio.current_time()
        with pytest.raises(ServerUnavailable) as caught:
            await first_ready(pools, a_call(), patience=2.5)

        assert anyio.current_time() - started == pytest.approx(2.5)
        assert (caught.value.tool, caught.value.server) == ("s_wait", "s")
        assert "server 's' cannot be reached: no connection within 2.5 s" in str(caught.value)


async def test_a_start_waits_for_the_first_server_that_is_ready() -> None:
    async with pools_of(a_server(is_up=False), a_server(delay=50.0), a_server(delay=3.0)) as pools:
        started = anyio.current_time()
        await first_settled(pools)

        assert anyio.current_time() - started == pytest.approx(3.0)


async def test_a_start_where_all_fail_waits_for_no_second_try() -> None:
    slow = a_server(delay=5.0, is_up=False)
    async with pools_of(a_server(is_up=False), slow, patience=(60.0, 60.0)) as pools:
        started = anyio.current_time()
        await first_settled(pools)

        assert anyio.current_time() - started == pytest.approx(5.0)
        assert not any(pool.is_ready for pool in pools)
