"""One place in a pool, kept filled: pauses while nobody waits, hurry when somebody does."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest

from tests.servers.embedded import Embedded
from tests.servers.watching import Record
from trunkline import PoolPolicy, ServerPolicy
from trunkline.events import ConnectFailed, ConnectionEnded, ConnectionOpened, ConnectStarted
from trunkline.pool.connection import Connection
from trunkline.pool.keeper import Keeper
from trunkline.pool.ledger import Ledger
from trunkline.pool.outage import Outage
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2")]

HURRY = 0.5
POLICY = ServerPolicy(pool=PoolPolicy(base=40.0, cap=40.0, connect_timeout=5.0, grace=1.0))


class Place:
    """A keeper with all that belongs to it."""

    def __init__(self, server: Embedded, seed: int = 2) -> None:
        self.record = Record()
        self.ledger = Ledger()
        self.settled = 0
        rng = random.Random(seed)
        settings = SessionSettings(server.endpoint, "auto", PinnedEra(), rng, 5.0, 1.0)

        def make(on_ready: Callable[[Connection], None]) -> Connection:
            return Connection(
                settings,
                POLICY,
                on_ready=on_ready,
                on_change=self.ledger.tell,
                on_listing=lambda _tools: None,
                rng=random.Random(1),
            )

        self.keeper = Keeper(
            "s",
            None,
            ledger=self.ledger,
            outage=Outage(POLICY.pool, rng),
            make=make,
            on_opened=lambda _connection: None,
            on_settled=self._count,
            pause_with_callers=HURRY,
            emit=self.record,
        )

    def _count(self) -> None:
        self.settled += 1

    @property
    def starts(self) -> list[float]:
        """When a connection was begun."""
        return [event.at for event in self.record.of(ConnectStarted)]


@asynccontextmanager
async def kept(place: Place) -> AsyncGenerator[None, None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place.keeper.run, tasks)
        yield
        place.ledger.close("over")


async def test_a_failed_connect_is_told_and_followed_by_the_pause_it_announces() -> None:
    server = Embedded()
    server.is_up = False
    place = Place(server)
    async with kept(place):
        await anyio.sleep(200.0)

    failed = place.record.of(ConnectFailed)
    assert len(failed) >= 3
    pauses = [later - sooner for sooner, later in pairwise(place.starts)]
    assert pauses == [pytest.approx(event.delay, abs=0.01) for event in failed[: len(pauses)]]
    assert place.settled == len(failed)


async def test_a_caller_that_waits_cuts_the_pause_short() -> None:
    server = Embedded()
    server.is_up = False
    place = Place(server)
    async with kept(place):
        await anyio.sleep(1.0)
        before = len(place.starts)
        place.ledger.waiting += 1
        place.ledger.demand.set()
        await anyio.sleep(5.0)
        hurried = len(place.starts) - before
        place.ledger.waiting -= 1

    # About one every half second, instead of one every twenty seconds.
    assert 8 <= hurried <= 12


async def test_a_connection_that_ends_after_a_while_is_followed_by_another_at_once() -> None:
    place = Place(Embedded())
    async with kept(place):
        await anyio.sleep(2.0)
        place.ledger.connections[0].retire("replaced")
        await anyio.sleep(0.01)
        assert len(place.record.of(ConnectionOpened)) == 2

    assert place.starts[1] == pytest.approx(2.0, abs=0.01)
    assert place.record.of(ConnectFailed) == []
    assert place.record.of(ConnectionEnded)[0].reason == "replaced"


async def test_a_connection_that_ends_at_once_counts_as_a_failed_connect_and_is_paused_after() -> None:
    place = Place(Embedded())
    async with kept(place):
        await anyio.sleep(0.5)
        place.ledger.connections[0].retire("crashed at its first call")
        await anyio.sleep(0.01)
        (failed,) = place.record.of(ConnectFailed)
        assert len(place.starts) == 1
        await anyio.sleep(failed.delay)
        assert len(place.starts) == 2

    assert (failed.reason, failed.failures) == ("crashed at its first call", 1)


async def test_closing_ends_a_pause_and_leaves_no_connection() -> None:
    server = Embedded()
    server.is_up = False
    place = Place(server)
    async with kept(place):
        await anyio.sleep(1.0)
        started = anyio.current_time()

    assert anyio.current_time() - started < 0.01
    assert place.ledger.connections == []
