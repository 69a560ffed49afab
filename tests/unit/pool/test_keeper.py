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
from trunkline import PoolPolicy, ServerPolicy, StdioEndpoint
from trunkline.events import ConnectFailed, ConnectionEnded, ConnectionOpened, ConnectStarted
from trunkline.policy import Era
from trunkline.pool.connection import Connection
from trunkline.pool.keeper import Keeper
from trunkline.pool.ledger import Ledger
from trunkline.pool.outage import Outage
from trunkline.testing.scripted_server import ScriptedServer
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2")]

HURRY = 0.5
POLICY = ServerPolicy(pool=PoolPolicy(base=40.0, cap=40.0, connect_timeout=5.0, grace=1.0))


class Place:
    """A keeper with all that belongs to it."""

    def __init__(self, server: Embedded | ScriptedServer | StdioEndpoint, seed: int = 2, era: Era = "auto") -> None:
        self.record = Record()
        self.ledger = Ledger()
        self.settled = 0
        rng = random.Random(seed)
        endpoint = server if isinstance(server, StdioEndpoint) else server.endpoint
        settings = SessionSettings(endpoint, era, PinnedEra(), rng, 5.0, 1.0, Authorization(endpoint, rng))

        def make(on_ready: Callable[[Connection], None]) -> Connection:
            return Connection(
                settings,
                POLICY,
                on_ready=on_ready,
                on_change=self.ledger.tell,
                on_listing=lambda _tools: None,
                on_changed=lambda _listing, _uri: None,
                rng=random.Random(1),
            )

        self.outage = Outage(POLICY.pool, rng)
        self.keeper = Keeper(
            "s",
            "s#2",
            ledger=self.ledger,
            outage=self.outage,
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
async def kept(place: Place, count: int = 1) -> AsyncGenerator[None, None]:
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
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
    await anyio.sleep(10.0)
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


async def test_every_event_says_when_where_and_how_long() -> None:
    await anyio.sleep(10.0)
    server = Embedded()
    server.delay = 2.0
    place = Place(server)
    async with kept(place):
        await anyio.sleep(5.0)
        place.ledger.lend(place.ledger.connections[0])
        place.ledger.connections[0].retire("replaced")
        server.is_up = False
        await anyio.sleep(3.0)

    (failed,) = place.record.of(ConnectFailed)
    assert place.record.events[:5] == [
        ConnectStarted(10.0, "s", "s#2"),
        ConnectionOpened(12.0, "s", "s#2", "2026-07-28", 2.0),
        ConnectionEnded(15.0, "s", "s#2", reason="replaced", in_flight=1, ready=0, deliberate=True, lasted=3.0),
        ConnectStarted(15.0, "s", "s#2"),
        ConnectFailed(17.0, "s", "s#2", reason="down for repairs", failures=1, delay=failed.delay, ready=0),
    ]


async def test_a_connection_that_was_lost_is_told_as_such() -> None:
    server = ScriptedServer()
    place = Place(server, era="2025-11-25")
    async with kept(place):
        await anyio.sleep(5.0)
        server.end_connection()
        await anyio.sleep(0.001)

    ended = place.record.of(ConnectionEnded)[0]
    assert ended == ConnectionEnded(
        5.0, "s", "s#2", reason="the in-process server ended", in_flight=0, ready=0, deliberate=False, lasted=5.0
    )


async def test_an_outage_begins_with_the_loss_of_the_last_connection_and_with_its_reason() -> None:
    server = Embedded()
    place = Place(server)
    async with kept(place):
        await anyio.sleep(5.0)
        server.is_up, server.delay = False, 3.0
        place.ledger.connections[0].retire("no sign of life")
        await anyio.sleep(2.0)
        assert place.outage.reason == "no sign of life"
        await anyio.sleep(2.0)
        assert place.outage.reason == "down for repairs"
        # Patience counts from the loss, not from the first connect that fails after it.
        assert not place.outage.is_given_up(5.0 + POLICY.pool.patience - 0.01)
        assert place.outage.is_given_up(5.0 + POLICY.pool.patience)


async def test_a_program_that_does_not_exist_is_not_waited_for() -> None:
    place = Place(StdioEndpoint("no-such-program"))
    async with kept(place):
        while not place.record.of(ConnectFailed):
            await place.ledger.changed.wait()
        assert place.outage.is_given_up(anyio.current_time())


async def test_the_loss_of_one_connection_of_two_is_no_outage() -> None:
    server = Embedded()
    place = Place(server)
    async with kept(place, 2):
        await anyio.sleep(5.0)
        server.is_up = False
        place.ledger.connections[0].retire("replaced")
        await anyio.sleep(5.0)

        assert place.outage.reason == ""
        assert not place.outage.is_given_up(1e9)
        assert [event.ready for event in place.record.of(ConnectionEnded)] == [1]
        assert {event.ready for event in place.record.of(ConnectFailed)} == {1}


async def test_a_server_that_never_comes_up_is_an_outage_from_the_first_failed_connect() -> None:
    server = Embedded()
    server.is_up = False
    place = Place(server)
    async with kept(place):
        await anyio.sleep(3.0)
        assert place.outage.reason == "down for repairs"
        assert not place.outage.is_given_up(POLICY.pool.patience - 0.01)
        assert place.outage.is_given_up(POLICY.pool.patience)


async def test_a_connection_that_crashed_at_once_may_be_waited_for() -> None:
    place = Place(Embedded())
    async with kept(place):
        await anyio.sleep(0.5)
        place.ledger.connections[0].retire("crashed at its first call")
        await anyio.sleep(0.01)
        assert place.outage.failures == 1
        assert not place.outage.is_given_up(1.0)
