"""One connection from opening to closed: what it says of itself, and who it waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from tests.interaction.stepping import Moment, stepped
from tests.servers.changing import Changing
from tests.servers.embedded import FOREVER, Embedded, a_call
from tests.unit.pool.watched import POLICY, Watched, opened
from trunkline import ConnectionLost, StdioEndpoint, ToolResult
from trunkline.policy import Era
from trunkline.transport.reasons import SessionFailed

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2")]

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])


@ERAS
async def test_a_connection_is_ready_once_it_has_shaken_hands_and_listed_its_tools(era: Era) -> None:
    server = Embedded()
    watched = Watched(server.endpoint, era=era)
    async with opened(watched) as connection:
        result = await connection.send(call := a_call(seconds=1.0))

        assert (connection.state, connection.era, connection.reason) == ("ready", era, "")
        assert connection.capabilities.tools is not None
        assert (connection.hopeless, connection.was_refused, connection.was_retired) == (False, False, False)
        assert watched.listings[0] == ["wait"]
        assert isinstance(result, ToolResult)
        assert call.attempts == 1
        await connection.send(call)
        assert call.attempts == 2
        assert repr(connection) == f"<Connection ready [0 in flight, {era}]>"
        await connection.ping()

    assert (*watched.states[:2], watched.states[-1]) == ("told ready", "ready", "closed")
    assert server.open_now == 0


async def test_a_connection_that_cannot_be_opened_closes_with_its_reason() -> None:
    server = Embedded()
    server.is_up = False
    watched = Watched(server.endpoint)
    async with opened(watched) as connection:
        assert (connection.state, connection.reason) == ("closed", "down for repairs")
        assert connection.ready_at is None
        assert not connection.hopeless

    assert watched.states == ["closed"]


async def test_a_missing_program_is_hopeless() -> None:
    async with opened(Watched(StdioEndpoint("no-such-program"))) as connection:
        assert connection.hopeless
        assert connection.reason == "program or folder not found: no-such-program"


@pytest.mark.parametrize(("code", "was_refused"), [(types.METHOD_NOT_FOUND, True), (types.INTERNAL_ERROR, False)])
async def test_a_server_that_knows_no_handshake_is_told_from_one_in_trouble(code: int, *, was_refused: bool) -> None:
    async def refuse(ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "initialize":
            raise MCPError(code, "not this way")
        return await call_next(ctx)

    server = Changing("a")
    server.middleware.append(refuse)
    async with opened(Watched(server.endpoint, era="2025-11-25")) as connection:
        assert (connection.state, connection.reason) == ("closed", "not this way")
        assert (connection.was_refused, connection.hopeless) == (was_refused, False)


async def test_opening_is_given_up_after_its_timeout_and_says_so() -> None:
    server = Embedded()
    server.delay = FOREVER
    started = anyio.current_time()
    async with opened(Watched(server.endpoint)) as connection:
        assert anyio.current_time() - started == pytest.approx(5.0)
        assert connection.reason == "no handshake and listing within 5 s"
        assert connection.state == "closed"


async def test_a_retired_connection_finishes_its_calls_and_closes() -> None:
    server, said = Embedded(), []
    watched = Watched(server.endpoint)
    async with opened(watched) as connection:

        async def call() -> None:
            connection.in_flight += 1
            said.append(await connection.send(a_call(seconds=2.0)))
            connection.in_flight -= 1
            connection.returned()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(0.5)
            connection.retire("replaced")
            connection.retire("again")
            assert (connection.state, connection.reason) == ("draining", "replaced")
            assert connection.ended.is_set()
            assert connection.in_flight_at_end == 1
        await anyio.sleep(0.1)

        assert len(said) == 1
        assert watched.states == ["told ready", "ready", "draining", "closed"]


async def test_a_call_that_outlasts_the_grace_is_ended_and_may_have_run() -> None:
    server = Embedded()
    async with opened(Watched(server.endpoint, era="2025-11-25")) as connection:
        started = anyio.current_time()
        connection.in_flight += 1

        async def retire() -> None:
            await anyio.sleep(1.0)
            connection.retire("replaced")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retire)
            with pytest.raises(ConnectionLost) as caught:
                await connection.send(a_call(seconds=FOREVER))

        assert anyio.current_time() - started == pytest.approx(1.0 + 3.0, abs=0.5)
        assert caught.value.may_have_run

    assert (server.running, server.open_now) == (0, 0)


async def test_a_connection_retired_while_it_opens_is_closed_at_once() -> None:
    server = Embedded()
    server.delay = FOREVER
    watched = Watched(server.endpoint)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.connection.run)
        await anyio.sleep(1.0)
        watched.connection.retire("no longer wanted")
        started = anyio.current_time()
        await anyio.sleep(0.1)

        assert (watched.connection.state, watched.connection.reason) == ("closed", "no longer wanted")
    assert anyio.current_time() - started < 1.0
    assert watched.states == ["draining", "closed"]


async def test_a_cancelled_connection_closes_its_session_in_every_state() -> None:
    for moment in (0.0, 0.5, 2.0):
        server = Embedded()
        server.delay = 1.0
        watched = Watched(server.endpoint)
        with anyio.move_on_after(moment):
            await watched.connection.run()

        assert watched.connection.state == "closed"
        assert server.open_now == 0


async def test_a_connection_that_never_became_ready_is_never_lent() -> None:
    connection = Watched(Embedded().endpoint, replace(POLICY)).connection

    with pytest.raises(RuntimeError, match="leased only after"):
        await connection.send(a_call(seconds=0.0))


async def test_a_connection_that_was_never_opened_says_so_and_has_nobody_to_ask_for_a_sign_of_life() -> None:
    connection = Watched(Embedded().endpoint).connection

    assert repr(connection) == "<Connection opening [0 in flight, no era yet]>"
    assert connection.capabilities.tools is None
    await connection.ping()


async def test_a_sign_of_life_is_asked_of_the_server_itself() -> None:
    server = Changing("a")
    async with opened(Watched(server.endpoint, era="2025-11-25")) as connection:
        await connection.ping()
        server.end_session()

        with pytest.raises(SessionFailed, match="the in-process server ended"):
            await connection.ping()


async def test_a_session_that_ends_breaks_its_connection_and_the_calls_under_way_may_have_run() -> None:
    server = Changing("a")
    server.answers_after = FOREVER
    watched = Watched(server.endpoint, era="2025-11-25")
    failures = list[bool]()
    async with opened(watched) as connection:

        async def call() -> None:
            connection.in_flight += 1
            with pytest.raises(ConnectionLost) as caught:
                await connection.send(a_call("a"))
            failures.append(caught.value.may_have_run)
            connection.in_flight -= 1
            connection.returned()

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(call)
            await anyio.sleep(1.0)
            server.end_session()
        await anyio.sleep(0.1)

        assert failures == [True, True]
        assert (connection.state, connection.in_flight) == ("closed", 0)
        assert connection.reason == "the in-process server ended"
        assert not connection.was_retired

    assert watched.states == ["told ready", "ready", "broken", "closed"]


async def test_a_connection_retired_after_it_was_lost_keeps_its_reason_and_counts_as_lost() -> None:
    server = Changing("a")
    async with opened(Watched(server.endpoint, era="2025-11-25")) as connection:
        server.end_session()
        await connection.ended.wait()
        connection.retire("closed")
        await anyio.sleep(1.0)

        assert (connection.state, connection.was_retired) == ("closed", False)
        assert connection.reason == "the in-process server ended"


async def test_a_connection_that_was_retired_says_that_it_ended_because_we_wanted_it_to() -> None:
    async with opened(Watched(Embedded().endpoint)) as connection:
        connection.retire("replaced")
        await anyio.sleep(0.1)

        assert (connection.state, connection.was_retired) == ("closed", True)


@ERAS
async def test_a_listing_that_is_refused_ends_the_opening_and_the_era_is_asked_for_again(era: Era) -> None:
    server = Changing("a")
    server.refuses_listing = True
    watched = Watched(server.endpoint, era="auto" if era == "2026-07-28" else era)
    async with opened(watched) as connection:
        assert (connection.state, connection.ready_at) == ("closed", None)
        assert "no listing today" in connection.reason
        assert (watched.pinned.discovered, watched.pinned.legacy) == (None, False)

    assert (watched.states, watched.listings) == (["closed"], [])


async def test_a_listing_that_takes_too_long_ends_the_opening_after_its_timeout() -> None:
    server = Changing("a")
    server.pauses.append(FOREVER)
    started = anyio.current_time()
    async with opened(Watched(server.endpoint)) as connection:
        assert anyio.current_time() - started == pytest.approx(5.0)
        assert connection.reason == "no handshake and listing within 5 s"


async def test_a_session_that_ends_while_it_opens_is_given_as_the_reason() -> None:
    server = Changing("a")
    server.dies_listing = True
    async with opened(Watched(server.endpoint, era="2025-11-25")) as connection:
        assert (connection.state, connection.ready_at) == ("closed", None)
        assert connection.reason == "the in-process server ended"


@pytest.mark.parametrize(
    ("era", "reason"),
    [("2025-11-25", "the in-process server ended"), ("2026-07-28", "the session broke (LookupError)")],
)
async def test_whatever_a_server_raises_while_it_is_opened_ends_this_connection_only(era: Era, reason: str) -> None:
    server = Changing("a")
    server.at_start = LookupError("no such table")
    watched = Watched(server.endpoint, era=era)
    async with opened(watched) as connection:
        assert (connection.state, connection.ready_at) == ("closed", None)
        assert connection.reason == reason

    assert watched.states == ["closed"]


async def test_a_server_that_breaks_while_it_is_closed_does_not_hide_why_it_was_closed() -> None:
    server = Changing("a")
    server.at_end = LookupError("no such table")
    async with opened(Watched(server.endpoint)) as connection:
        connection.retire("replaced")
        await anyio.sleep(0.1)

        assert (connection.state, connection.reason) == ("closed", "replaced")


async def test_a_ready_connection_lives_for_ever() -> None:
    async with opened(Watched(Embedded().endpoint)) as connection:
        await anyio.sleep(10_000.0)
        assert connection.state == "ready"


async def test_a_server_that_does_not_let_go_is_left_after_the_grace_and_a_margin() -> None:
    server = Changing("a")
    server.lingers = FOREVER
    watched = Watched(server.endpoint, era="2026-07-28")
    async with opened(watched) as connection:
        await anyio.sleep(2.0)
        connection.retire("replaced")
        await anyio.sleep(3.0 + 4.9)
        assert connection.state == "draining"
        await anyio.sleep(0.2)

        assert (connection.state, connection.reason) == ("closed", "replaced")


@pytest.mark.parametrize("moment", ["falling asleep", "waking up"])
@ERAS
async def test_a_connection_retired_at_any_point_of_its_opening_closes_and_is_never_lent(
    era: Era, moment: Moment
) -> None:
    for step in range(1, 200):
        server = Embedded()
        watched = Watched(server.endpoint, era=era)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retired_at, watched, step, moment)
            await watched.connection.settled.wait()
            was_ready = "ready" in watched.states
            watched.connection.retire("seen enough")
        assert watched.connection.state == "closed"
        assert server.open_now == 0
        if was_ready:
            break
        assert watched.states == ["draining", "closed"]
        assert (watched.connection.reason, watched.connection.ready_at, watched.listings) == ("not wanted", None, [])
    assert was_ready
    assert step > 3


async def retired_at(watched: Watched, step: int, moment: Moment) -> None:
    """Run a connection that another task retires when it pauses for the `step`-th time."""
    asked, is_over = anyio.Event(), anyio.Event()

    async def retire() -> None:
        await asked.wait()
        if not is_over.is_set():
            watched.connection.retire("not wanted")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(retire)
        await stepped(watched.connection.run(), step, moment, asked.set)
        is_over.set()
        asked.set()
