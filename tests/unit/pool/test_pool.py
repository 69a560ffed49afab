"""The pool over outages in virtual time: calls wait for a server that comes back, and are refused when it does not."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from mcp_types import ServerCapabilities

from tests.servers.changing import Changing
from tests.servers.embedded import FOREVER, Embedded, a_call
from tests.servers.telling import Telling
from tests.servers.watching import Record
from tests.unit.pool.pools import POLICY, a_pool, running, said
from trunkline import ServerUnavailable, ToolRefused
from trunkline.events import (
    AttemptFinished,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    ListingChanged,
    ResourceUpdated,
)
from trunkline.policy import Era

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])


async def test_a_call_waits_for_the_first_connection_and_is_served() -> None:
    server, record = Embedded(), Record()
    server.delay = 2.0
    async with running(a_pool(server, record)) as pool:
        assert said(await pool.send(a_call(seconds=1.0))) == "waited 1 s"
        assert anyio.current_time() == pytest.approx(3.0, abs=0.1)
        assert repr(pool) == "<Pool s [Calls: 0 active, 0 waiting | Connections: 1 ready, 0 opening]>"

    (attempt,) = record.of(AttemptFinished)
    assert attempt.outcome == "ok"
    assert attempt.duration == pytest.approx(1.0, abs=0.1)


async def test_calls_wait_out_a_short_outage() -> None:
    server, record = Embedded(), Record()
    server.is_up = False
    async with running(a_pool(server, record)) as pool, anyio.create_task_group() as tasks:
        results: list[str] = []

        async def call() -> None:
            results.append(said(await pool.send(a_call(seconds=0.0))))

        for _ in range(10):
            tasks.start_soon(call)
        await anyio.sleep(3.0)
        assert pool.statistics().waiting == 10
        assert pool.reason == "down for repairs"
        server.is_up = True
        await anyio.sleep(0.5)

        assert len(results) == 10
        assert (pool.statistics().waiting, pool.statistics().failures, pool.reason) == (0, 0, "")


async def test_a_server_that_stays_away_is_refused_at_once_and_tried_for_ever() -> None:
    server, record = Embedded(), Record()
    server.is_up = False
    async with running(a_pool(server, record)) as pool:
        with pytest.raises(ServerUnavailable, match="cannot be reached: down for repairs"):
            await pool.send(a_call(seconds=0.0))
        assert anyio.current_time() == pytest.approx(POLICY.pool.patience, abs=0.5)

        for _ in range(10):
            started = anyio.current_time()
            with pytest.raises(ServerUnavailable) as caught:
                await pool.send(a_call(seconds=0.0))
            assert anyio.current_time() == started
            last = record.of(ConnectFailed)[-1]
            assert caught.value.retry_after == pytest.approx(last.at + last.delay - started)
            assert (caught.value.tool, caught.value.server) == ("s_wait", "s")
            await anyio.sleep(0.4)

        await anyio.sleep(3600)
        tried = server.opened
        await anyio.sleep(60)
        assert server.opened > tried + 10

        server.is_up = True
        await anyio.sleep(POLICY.pool.cap)
        assert said(await pool.send(a_call(seconds=0.0))) == "waited 0 s"

    assert [event.failures for event in record.of(ConnectFailed)][:3] == [1, 2, 3]
    assert all(event.ready == 0 for event in record.of(ConnectFailed))


async def test_a_waiting_call_that_is_cancelled_leaves_nothing_behind() -> None:
    server, record = Embedded(), Record()
    server.is_up = False
    async with running(a_pool(server, record)) as pool:
        with anyio.move_on_after(2.0) as scope:
            await pool.send(a_call(seconds=0.0))
        assert scope.cancelled_caught
        assert pool.statistics().waiting == 0

    assert record.of(AttemptFinished) == []


@pytest.mark.requirement("R9")
async def test_a_call_cancelled_under_way_gives_its_lease_back_and_is_told_from_one_that_ran_out_of_time() -> None:
    server, record = Embedded(), Record()
    async with running(a_pool(server, record)) as pool:
        late = a_call(seconds=FOREVER)
        late.attempt_ends = anyio.current_time() + 1.0
        with anyio.move_on_after(1.0):
            await pool.send(late)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pool.send, a_call(seconds=FOREVER))
                await anyio.sleep(1.0)
                assert pool.statistics().in_flight == 1
                scope.cancel()
        assert pool.statistics().in_flight == 0
        assert server.running == 0

    assert [event.outcome for event in record.of(AttemptFinished)] == ["timeout", "cancelled"]


async def test_replacing_connections_drops_no_call() -> None:
    server, record = Embedded(), Record()
    async with running(a_pool(server, record)) as pool, anyio.create_task_group() as tasks:
        results: list[str] = []

        async def call(seconds: float) -> None:
            results.append(said(await pool.send(a_call(seconds=seconds))))

        await pool.settled.wait()
        await anyio.sleep(2.0)
        tasks.start_soon(call, 2.0)
        await anyio.sleep(0.5)
        pool.replace("no sign of life for too long")
        tasks.start_soon(call, 0.5)
        await anyio.sleep(1.0)
        assert results == ["waited 0.5 s"]
        await anyio.sleep(1.0)

        assert results == ["waited 0.5 s", "waited 2 s"]
        assert server.open_now == 1

    (lost,) = record.of(ConnectionEnded)[:1]
    assert (lost.reason, lost.in_flight, lost.ready) == ("no sign of life for too long", 1, 0)
    assert len(record.of(ConnectionOpened)) == 2


async def test_a_pool_keeps_as_many_connections_as_told_and_spreads_calls_over_them() -> None:
    server, record = Embedded(), Record()
    policy = replace(POLICY, pool=replace(POLICY.pool, connections=3))
    async with running(a_pool(server, record, policy)) as pool:
        await anyio.sleep(1.0)
        assert server.open_now == 3
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(pool.send, a_call(seconds=1.0))
            await anyio.sleep(0.5)
            assert [connection.in_flight for connection in pool._ledger.connections] == [2, 2, 2]

    assert server.open_now == 0
    assert len(record.of(ConnectStarted)) == 3


async def test_a_closed_pool_refuses_those_who_wait_and_opens_nothing_more() -> None:
    server, record = Embedded(), Record()
    server.is_up = False
    pool = a_pool(server, record)
    async with running(pool), anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(ServerUnavailable, match="removed or is shutting down") as caught:
                await pool.send(a_call(seconds=0.0))
            assert caught.value.retry_after is None

        tasks.start_soon(call)
        await anyio.sleep(1.0)
        pool.close()
        pool.close()
    tried = server.opened
    await anyio.sleep(60)

    assert server.opened == tried


async def test_whoever_wants_to_know_is_told_when_a_connection_is_ready() -> None:
    server, record = Embedded(), Record()
    told: list[float] = []
    pool = a_pool(server, record)
    pool.on_ready = told.append
    server.delay = 2.0
    async with running(pool):
        await pool.wait_ready(a_call())
        assert (pool.era, pool.capabilities.tools is not None) == ("2026-07-28", True)

    assert told == [pytest.approx(2.0, abs=0.1)]


async def test_a_pool_that_has_not_connected_yet_knows_nothing_of_its_server() -> None:
    pool = a_pool(Embedded(), Record())

    assert (pool.era, pool.capabilities, pool.is_ready, pool.reason) == ("", ServerCapabilities(), False, "")
    assert not pool.settled.is_set()


async def test_the_era_that_is_configured_is_the_one_that_is_spoken() -> None:
    async with running(a_pool(Embedded(), Record(), replace(POLICY, era="2025-11-25"))) as pool:
        await pool.wait_ready(a_call())
        assert pool.era == "2025-11-25"


async def test_a_sign_of_life_is_asked_of_every_connection_that_takes_calls() -> None:
    server, record = Changing("a"), Record()
    server.answers_after = 1.0
    policy = replace(POLICY, era="2025-11-25", pool=replace(POLICY.pool, connections=3))
    async with running(a_pool(server, record, policy)) as pool, anyio.create_task_group() as tasks:
        await anyio.sleep(2.0)
        for _ in range(3):
            tasks.start_soon(pool.send, a_call("a"))
        await anyio.sleep(0.1)
        await pool.ping()
        assert server.pings == 3
        pool.replace("not wanted any more")
        await anyio.sleep(0.1)
        # Three that finish their calls and three that took their places.
        assert len(pool._ledger.connections) == 6
        await pool.ping()
        assert server.pings == 6


async def test_a_connection_that_ends_with_its_pool_says_so() -> None:
    record = Record()
    async with running(a_pool(Embedded(), record)) as pool:
        await pool.wait_ready(a_call())

    (ended,) = record.of(ConnectionEnded)
    assert (ended.reason, ended.deliberate) == ("the pool was closed", True)


async def test_callers_that_wait_have_an_address_tried_ten_times_a_second() -> None:
    server, record = Embedded(), Record()
    server.is_up = False
    policy = replace(POLICY, pool=replace(POLICY.pool, base=60.0, cap=60.0))
    async with running(a_pool(server, record, policy)) as pool:
        with pytest.raises(ServerUnavailable):
            await pool.send(a_call())
        assert anyio.current_time() == pytest.approx(POLICY.pool.patience, abs=0.2)

    assert 90 <= len(record.of(ConnectFailed)) <= 110


@ERAS
async def test_changes_of_listings_and_updates_of_resources_are_told_with_their_place(era: Era) -> None:
    server, record = Telling(), Record()
    pool = a_pool(server, record, replace(POLICY, era=era), replica="s#2")
    pool.watched.set("file:///a", wanted=True)
    async with running(pool):
        await anyio.sleep(3.0)
        await server.relist("prompts")
        await server.relist("resources")
        await server.change("b")
        await server.update("file:///a")
        await anyio.sleep(0.01)

    told = record.of(ListingChanged) + record.of(ResourceUpdated)
    assert told == [
        ListingChanged(3.0, "s", "s#2", "prompts"),
        ListingChanged(3.0, "s", "s#2", "resources"),
        ResourceUpdated(3.0, "s", "s#2", "file:///a"),
    ]


async def test_every_listing_may_have_changed_while_there_was_no_connection_and_only_then() -> None:
    server, record = Telling(), Record()
    policy = replace(POLICY, era="2025-11-25", pool=replace(POLICY.pool, connections=2))
    async with running(a_pool(server, record, policy)) as pool:
        await anyio.sleep(3.0)
        pool._ledger.connections[0].retire("replaced")
        await anyio.sleep(3.0)
        assert record.of(ListingChanged) == []
        pool.replace("replaced")
        await anyio.sleep(3.0)

    assert len(record.of(ConnectionOpened)) == 5
    assert [event.listing for event in record.of(ListingChanged)] == ["prompts", "resources"]


async def test_the_tools_are_told_to_whoever_wants_to_know_at_each_connection() -> None:
    listings = list[list[str]]()
    server = Changing("a", "b")
    pool = a_pool(server, Record(), on_listing=lambda tools: listings.append([tool.name for tool in tools]))
    async with running(pool):
        await pool.wait_ready(a_call())
        assert listings == [["a", "b"]]


async def test_a_call_that_must_not_be_made_any_more_is_refused_once_a_connection_is_there() -> None:
    server, record = Embedded(), Record()
    server.delay = 2.0
    asked = list[tuple[str, str]]()

    def recheck(server_name: str, target: str) -> None:
        assert anyio.current_time() == pytest.approx(2.0, abs=0.1)
        asked.append((server_name, target))
        if len(asked) == 1:
            raise ToolRefused("it is another one now")

    call = a_call(seconds=0.0)
    call.recheck = recheck
    async with running(a_pool(server, record)) as pool:
        with pytest.raises(ToolRefused):
            await pool.send(call)
        assert (call.attempts, pool.statistics().in_flight, record.of(AttemptFinished)) == (0, 0, [])
        assert said(await pool.send(call)) == "waited 0 s"

    assert asked == [("s", "wait")] * 2
