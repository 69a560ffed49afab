"""Connections of one client each: who gets one, how long it lives, and what happens where it cannot be had."""

from __future__ import annotations

import random
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from tests.servers.changing import Changing
from tests.servers.curious import Curious, Person
from tests.servers.embedded import FOREVER, Embedded, a_call
from tests.servers.telling import Telling
from tests.servers.watching import Record
from tests.unit.pool import pools
from tests.unit.pool.pools import a_pool, running, said
from trunkline import ConnectionLost, ServerUnavailable, StdioEndpoint
from trunkline.call import Call
from trunkline.events import ListingChanged, ResourceUpdated
from trunkline.exchange import Exchange
from trunkline.policy import Era
from trunkline.pool.pool import Pool

pytestmark = pytest.mark.anyio

POLICY = replace(pools.POLICY, era="2025-11-25")
TRIED = 0.2 + 0.5 + 1.0 + 2.0 + 4.0
"""Seconds for which a connection is tried for."""


def a_call_for(who: str, tool: str = "wait", *, seconds: float = 0.0, **options: Any) -> Call:
    """A call made for somebody who can be asked."""
    call = a_call(tool, seconds=seconds, **options)
    call.exchange = Exchange(Person(who))
    return call


async def answered(pool: Pool, who: str, seconds: float = 0.0) -> None:
    assert said(await pool.send(a_call_for(who, seconds=seconds))) == f"waited {seconds:g} s"


async def refused(pool: Pool, call: Call) -> ServerUnavailable:
    with pytest.raises(ServerUnavailable) as caught:
        await pool.send(call)
    assert (caught.value.tool, caught.value.server) == (call.name, "s")
    return caught.value


class Handshakes:
    """What a server's handshakes were, and whether there are more."""

    def __init__(self, server: Changing, *, takes: float = 0.0) -> None:
        self.at: list[float] = []
        self.told: list[str] = []
        """The contexts in which they were sent."""
        self.probes = 0
        """How often it was asked for its era instead."""
        self.is_over = False
        self._takes = takes
        server.middleware.append(self._shake)

    async def _shake(self, ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        self.probes += ctx.method == "server/discover"
        if ctx.method == "initialize":
            self.at.append(anyio.current_time())
            self.told.append(WHERE.get())
            await anyio.sleep(self._takes)
            if self.is_over:
                raise MCPError(types.METHOD_NOT_FOUND, "no handshakes")
        return await call_next(ctx)


WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


async def test_each_client_that_can_be_asked_has_one_connection_that_no_other_uses() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        for who in ("Ada", "Bob", "Ada", "Bob"):
            await answered(pool, who)
        await pool.send(a_call(seconds=0.0))
        assert server.opened == 1 + 2
        assert repr(pool.own) == "<OwnConnections s [2 open]>"
        ada, bob = [await pool.own.find(a_call_for(who)) for who in ("Ada", "Bob")]
        assert ada is not bob
        assert ada is await pool.own.find(a_call_for("Ada"))

    assert server.open_now == 0


async def test_calls_of_one_client_that_come_together_wait_for_one_connection() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await pool.wait_ready(a_call())
        server.delay = 2.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answered, pool, "Ada")
            await anyio.sleep(1.0)
            await answered(pool, "Ada")
        assert server.opened == 1 + 1


async def test_a_connection_of_ones_own_says_what_its_client_can_do() -> None:
    server = Curious()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        assert said(await pool.send(a_call_for("Ada", "ask"))) == "Ada"

    assert server.capabilities == [types.ClientCapabilities.model_validate({"elicitation": {"form": {}}})]


@pytest.mark.parametrize("policy", [{"era": "2026-07-28"}, {"interactive": False}], ids=str)
async def test_nobody_has_one_where_the_server_asks_nothing_back_or_must_not(policy: dict[str, Any]) -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), replace(POLICY, **policy))) as pool:
        await answered(pool, "Ada")
        assert (server.opened, repr(pool.own)) == (1, "<OwnConnections s [0 open]>")


async def test_who_is_asked_between_two_rounds_only_uses_the_shared_ones() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        call = a_call(seconds=0.0)
        call.exchange = Exchange(Person("Ada", key=None))
        await pool.send(call)
        assert await pool.own.find(a_call(seconds=0.0)) is None
        assert server.opened == 1


async def test_nobody_has_one_before_the_pool_runs_and_after_it_was_closed() -> None:
    server = Embedded()
    pool = a_pool(server, Record(), POLICY)
    assert await pool.own.find(a_call_for("Ada")) is None
    async with running(pool):
        await answered(pool, "Ada")
        pool.close()
        pool.replace("replaced by a probe that came too late")
        assert await pool.own.find(a_call_for("Ada")) is None
    assert (server.opened, server.open_now) == (1 + 1, 0)


async def test_a_server_that_speaks_both_eras_is_spoken_to_in_the_one_in_which_it_asks_back() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), replace(POLICY, era="auto"))) as pool:
        await answered(pool, "Ada")
        own = await pool.own.find(a_call_for("Ada"))
        assert own is not None
        assert (pool.era, own.era) == ("2026-07-28", "2025-11-25")


async def test_a_server_that_knows_no_handshake_is_asked_again_after_five_minutes_and_serves_all_meanwhile() -> None:
    server = Changing("a")
    handshakes = Handshakes(server)
    handshakes.is_over = True
    async with running(a_pool(server, Record(), replace(POLICY, era="auto"))) as pool:
        started = anyio.current_time()
        for at in (0.0, 10.0, 299.0, 301.0, 302.0):
            await anyio.sleep(started + at - anyio.current_time())
            assert said(await pool.send(a_call_for("Ada", "a"))) == "a"
        assert [at - started for at in handshakes.at] == [pytest.approx(0.0, abs=0.1), pytest.approx(301.0, abs=0.1)]


async def test_what_the_shared_ones_know_of_the_era_is_not_forgotten_for_it() -> None:
    server = Changing("a")
    handshakes = Handshakes(server)
    handshakes.is_over = True
    async with running(a_pool(server, Record(), replace(POLICY, era="auto"))) as pool:
        await pool.send(a_call_for("Ada", "a"))
        await anyio.sleep(2.0)
        pool.replace("replaced by the test")
        await pool.send(a_call("a"))
        assert (len(handshakes.at), handshakes.probes) == (1, 1)


async def test_a_call_that_got_none_of_its_own_goes_over_the_shared_one_of_that_moment() -> None:
    server = Changing("a")
    Handshakes(server, takes=1.0).is_over = True
    async with running(a_pool(server, Record(), replace(POLICY, era="auto"))) as pool:
        await pool.wait_ready(a_call())
        await anyio.sleep(2.0)
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                assert said(await pool.send(a_call_for("Ada", "a"))) == "a"

            tasks.start_soon(call)
            await anyio.sleep(0.5)
            pool.replace("replaced by the test")


async def test_a_server_that_restarts_is_waited_for() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await pool.wait_ready(a_call())
        server.is_up = False
        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answered, pool, "Ada")
            await anyio.sleep(1.0)
            server.is_up = True
        assert anyio.current_time() - started == pytest.approx(0.2 + 0.5 + 1.0, abs=0.1)
        assert server.opened == 1 + 4


@pytest.mark.parametrize("era", ["2025-11-25", "auto"])
async def test_a_connection_that_cannot_be_had_is_tried_for_again_and_again_and_then_refused(era: Era) -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), replace(POLICY, era=era))) as pool:
        await pool.wait_ready(a_call())
        server.is_up = False
        started = anyio.current_time()
        error = await refused(pool, a_call_for("Ada"))
        assert str(error) == "server 's' gave no connection for this client: the in-process server ended"
        assert anyio.current_time() - started == pytest.approx(TRIED, abs=0.1)
        assert server.opened == 1 + 6
        # The shared ones are there for everybody else.
        assert said(await pool.send(a_call(seconds=0.0))) == "waited 0 s"


async def test_a_server_of_the_handshake_era_that_refuses_one_is_not_taken_for_one_that_asks_nothing() -> None:
    server = Changing("a")
    handshakes = Handshakes(server)
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await pool.wait_ready(a_call())
        handshakes.is_over = True
        assert str(await refused(pool, a_call_for("Ada", "a"))).endswith("for this client: no handshakes")
        assert len(handshakes.at) == 1 + 6


async def test_a_connection_that_ended_is_opened_again_for_the_next_call() -> None:
    server = Changing("a")
    server.answers_after = 1.0
    handshakes = Handshakes(server)
    async with running(a_pool(server, Record(), POLICY)) as pool:
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                with pytest.raises(ConnectionLost, match="ended before the answer"):
                    await pool.send(a_call_for("Ada", "a"))

            tasks.start_soon(call)
            await anyio.sleep(0.5)
            server.end_session()
        await anyio.sleep(0.01)
        assert said(await pool.send(a_call_for("Ada", "a"))) == "a"
        assert repr(pool.own) == "<OwnConnections s [1 open]>"
        assert len(handshakes.at) == 1 + 2


async def test_replacing_connections_replaces_those_of_clients_and_drops_no_call_of_theirs() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        await pool.wait_ready(a_call())
        await anyio.sleep(2.0)
        tasks.start_soon(answered, pool, "Ada", 2.0)
        await anyio.sleep(1.0)
        old = await pool.own.find(a_call_for("Ada"))
        pool.replace("replaced by the test")
        await answered(pool, "Ada")
        assert old is not None
        assert (old.state, old.reason, old.was_retired) == ("draining", "replaced by the test", True)
        await anyio.sleep(2.0)
        assert old.state == "closed"
        # The place is the new one's, although the old one ended after it.
        await answered(pool, "Ada")
        assert (server.opened, server.open_now) == (2 + 2, 1 + 1)


async def test_who_has_left_has_no_connection_any_more_and_finishes_a_call() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        for who in ("Ada", "Bob"):
            tasks.start_soon(answered, pool, who, 2.0)
        await anyio.sleep(1.0)
        ada, bob = [await pool.own.find(a_call_for(who)) for who in ("Ada", "Bob")]
        pool.own.release("Ada")
        pool.own.release("Eve")
        assert ada is not None
        assert bob is not None
        assert (ada.state, ada.reason, bob.state) == ("draining", "its client has left", "ready")
        await anyio.sleep(1.5)
        assert (ada.state, bob.state, server.open_now) == ("closed", "ready", 1 + 1)


async def test_a_pool_that_is_closed_lets_its_clients_finish_and_says_why() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(answered, pool, "Ada", 2.0)
        await anyio.sleep(1.0)
        own = await pool.own.find(a_call_for("Ada"))
        pool.close()
        assert own is not None
        assert (own.state, own.reason) == ("draining", "the pool was closed")


@pytest.mark.parametrize("is_up", [True, False], ids=["opening", "tried for again"])
async def test_a_pool_that_is_closed_opens_nothing_more_for_a_call_that_waits(*, is_up: bool) -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        await pool.wait_ready(a_call())
        server.is_up, server.delay = is_up, 0.3
        tasks.start_soon(refused, pool, a_call_for("Ada"))
        await anyio.sleep(0.4 if not is_up else 0.2)
        pool.close()
        closed = anyio.current_time()
        server.is_up = True
    assert (server.opened, server.open_now) == (1 + 1, 0)
    assert anyio.current_time() - closed < 1.0


def test_fewer_clients_may_have_a_process_of_their_own_than_a_session() -> None:
    process = Pool("s", StdioEndpoint("serve"), POLICY, emit=Record(), on_listing=print, rng=random.Random(5))
    assert (process.own.most, a_pool(Embedded(), Record()).own.most) == (16, 128)


async def test_a_client_gets_the_place_of_the_one_that_has_been_out_of_use_for_the_longest_time() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        pool.own.most = 3
        tasks.start_soon(answered, pool, "busy", 100.0)
        await answered(pool, "long", 10.0)
        await anyio.sleep(10.0)
        await answered(pool, "short")
        connections = {who: await pool.own.find(a_call_for(who)) for who in ("busy", "long", "short")}
        await anyio.sleep(10.0)
        await answered(pool, "long", 10.0)
        await anyio.sleep(10.0)
        await answered(pool, "Ada")
        await anyio.sleep(1.0)
        assert repr(pool.own) == "<OwnConnections s [3 open]>"
        states = {who: (own.state, own.reason) for who, own in connections.items() if own is not None}
        assert states == {
            "busy": ("ready", ""),
            "long": ("ready", ""),
            "short": ("closed", "another client needed the place"),
        }
        assert server.open_now == 1 + 3


async def test_a_connection_has_been_out_of_use_since_its_last_call_ended() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        pool.own.most = 2
        tasks.start_soon(answered, pool, "Ada", 10.0)
        await anyio.sleep(5.0)
        await answered(pool, "Bob")
        await anyio.sleep(6.0)
        await answered(pool, "Eve")
        await answered(pool, "Ada")
        # Ada's, Bob's and Eve's: hers took Bob's place, who made his last call before Ada's had ended.
        assert server.opened == 1 + 3


@pytest.mark.parametrize("delay", [0.0, 2.0], ids=["under way", "opening"])
async def test_a_client_is_refused_at_once_where_all_places_are_in_use(delay: float) -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool, anyio.create_task_group() as tasks:
        await pool.wait_ready(a_call())
        server.delay = delay
        pool.own.most = 2
        for who in ("Ada", "Bob"):
            tasks.start_soon(answered, pool, who, 2.0)
        await anyio.sleep(1.0)
        started = anyio.current_time()
        error = await refused(pool, a_call_for("Eve"))
        assert str(error) == "server 's' has calls of 2 clients under way, each on its own connection"
        assert anyio.current_time() == started
        await anyio.sleep(delay + 2.0)
        await answered(pool, "Eve")
        assert (server.opened, server.open_now) == (1 + 3, 1 + 2)


async def test_a_connection_out_of_use_for_five_minutes_is_closed() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        started = anyio.current_time()
        for at in (0.0, 0.5, 100.0):
            await anyio.sleep(started + at - anyio.current_time())
            await answered(pool, "Ada")
        own = await pool.own.find(a_call_for("Ada"))
        assert own is not None
        await anyio.sleep(started + 399.9 - anyio.current_time())
        assert own.state == "ready"
        await anyio.sleep(0.2)
        assert (own.state, own.reason, own.was_retired) == ("closed", "out of use", True)
        assert (repr(pool.own), server.open_now) == ("<OwnConnections s [0 open]>", 1)
        await answered(pool, "Ada")


async def test_the_last_fraction_of_a_second_of_the_five_minutes_counts() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await answered(pool, "Ada")
        await anyio.sleep(0.5)
        await answered(pool, "Ada")
        await anyio.sleep(299.9)
        assert server.open_now == 1 + 1
        await anyio.sleep(0.2)
        assert server.open_now == 1


async def test_a_call_may_take_longer_than_five_minutes_which_are_counted_from_its_end() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await answered(pool, "Ada", 1000.0)
        await anyio.sleep(299.0)
        assert server.open_now == 1 + 1
        await anyio.sleep(2.0)
        assert server.open_now == 1


async def test_a_connection_is_not_opened_in_the_context_of_the_call_that_happens_to_be_the_first() -> None:
    server = Changing("a")
    handshakes = Handshakes(server)
    WHERE.set("in the pool")
    async with running(a_pool(server, Record(), POLICY)) as pool:
        WHERE.set("in a call")
        for who in ("Ada", "Bob"):
            await pool.send(a_call_for(who, "a"))

    assert handshakes.told == ["in the pool"] * 3


async def test_what_it_has_listed_and_that_it_changed_is_told_by_the_shared_ones_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, record, listings, told = Telling(), Record(), list[object](), list[float]()
    pool = a_pool(server, record, POLICY, on_listing=listings.append)
    pool.on_ready = told.append
    async with running(pool):
        await pool.send(a_call_for("Ada", "a"))
        own = await pool.own.find(a_call_for("Ada"))
        # Its session is the latest, so these are told to it.
        await server.relist("prompts")
        await server.change("b")
        await anyio.sleep(2.0)
        assert own is not None
        assert (own.state, len(server.listed)) == ("ready", 1 + 2)
        assert (len(listings), len(told)) == (1, 1)

    assert record.of(ListingChanged) + record.of(ResourceUpdated) == []
    assert caplog.records == []


async def test_a_call_that_is_cancelled_while_its_connection_opens_leaves_it_to_the_next() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        await pool.wait_ready(a_call())
        server.delay = 2.0
        with anyio.move_on_after(1.0):
            await answered(pool, "Ada")
        assert pool.statistics().in_flight == 0
        started = anyio.current_time()
        await answered(pool, "Ada")
        assert anyio.current_time() - started == pytest.approx(1.0, abs=0.1)
        assert server.opened == 1 + 1


async def test_a_call_that_is_cancelled_under_way_gives_its_connection_back() -> None:
    server = Embedded()
    async with running(a_pool(server, Record(), POLICY)) as pool:
        with anyio.move_on_after(10.0):
            await answered(pool, "Ada", FOREVER)
        await anyio.sleep(0.01)
        own = await pool.own.find(a_call_for("Ada"))
        assert own is not None
        assert (own.in_flight, own.state, server.running) == (0, "ready", 0)
