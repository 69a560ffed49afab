"""The ledger: leases are counted once, go to the least busy connection, and those who wait are told."""

from __future__ import annotations

import random

import anyio
import pytest

from tests.servers.embedded import Embedded
from trunkline import ServerPolicy
from trunkline.pool.connection import Connection, ConnectionState
from trunkline.pool.ledger import Ledger, PoolStatistics
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

pytestmark = pytest.mark.anyio


def connection(state: ConnectionState, in_flight: int = 0) -> Connection:
    endpoint, rng = Embedded().endpoint, random.Random(1)
    settings = SessionSettings(endpoint, "auto", PinnedEra(), rng, 1.0, 1.0, Authorization(endpoint, rng))
    made = Connection(
        settings,
        ServerPolicy(),
        on_ready=lambda _self: None,
        on_change=lambda: None,
        on_listing=lambda _tools: None,
        on_changed=lambda _listing, _uri: None,
        rng=random.Random(1),
    )
    made.state, made.in_flight = state, in_flight
    return made


async def test_the_ready_connection_with_the_fewest_calls_is_lent() -> None:
    busy, idle, broken = connection("ready", 3), connection("ready", 1), connection("broken")
    ledger = Ledger([broken, busy, idle])

    for expected in (idle, idle, busy, idle):
        best = ledger.best()
        assert best is expected
        ledger.lend(expected)

    assert (busy.in_flight, idle.in_flight) == (4, 4)


async def test_without_a_ready_connection_there_is_none_to_lend() -> None:
    ledger = Ledger([connection("opening"), connection("draining"), connection("broken"), connection("closed")])

    assert ledger.best() is None
    assert ledger.ready == 0


async def test_statistics_count_each_connection_and_each_call_once() -> None:
    ledger = Ledger([connection("ready", 2), connection("opening"), connection("draining", 1)], waiting=4)

    assert ledger.statistics(5) == PoolStatistics(ready=1, opening=1, in_flight=3, waiting=4, failures=5)


async def test_everybody_who_waits_is_told_and_nobody_twice() -> None:
    ledger, told = Ledger(), 0

    async def wait() -> None:
        nonlocal told
        await ledger.changed.wait()
        told += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        ledger.tell()

    assert told == 3
    assert not ledger.changed.is_set()


async def test_closing_retires_every_connection_and_wakes_everybody() -> None:
    ready = connection("ready")
    ledger = Ledger([ready, connection("closed")])
    changed = ledger.changed
    ledger.close("over")

    assert (ready.state, ready.reason) == ("draining", "over")
    assert ledger.is_closing
    assert changed.is_set()
    assert ledger.demand.is_set()
