"""One connection from opening to closed: what it says of itself, and who it waits for."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from mcp_types import Tool

from tests.servers.embedded import FOREVER, Embedded, a_call
from trunkline import ConnectionLost, PoolPolicy, ServerPolicy, StdioEndpoint, ToolResult
from trunkline.endpoint import Endpoint
from trunkline.policy import Era
from trunkline.pool.connection import Connection
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2")]

POLICY = ServerPolicy(pool=PoolPolicy(connect_timeout=5.0, grace=3.0), refresh=100.0)
ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])


class Watched:
    """A connection, its states and its listings."""

    def __init__(self, endpoint: Endpoint, policy: ServerPolicy = POLICY, era: Era = "auto") -> None:
        self.states: list[str] = []
        self.listings: list[list[str]] = []
        pool = policy.pool
        settings = SessionSettings(endpoint, era, PinnedEra(), random.Random(1), pool.connect_timeout, pool.grace)
        self.connection = Connection(
            settings,
            policy,
            on_ready=lambda ready: self.states.append(f"told {ready.state}"),
            on_change=lambda: self.states.append(self.connection.state),
            on_listing=self.note,
            rng=random.Random(1),
        )

    def note(self, tools: Sequence[Tool]) -> None:
        self.listings.append([tool.name for tool in tools])


@asynccontextmanager
async def opened(watched: Watched) -> AsyncGenerator[Connection, None]:
    """A connection whose task is cancelled at the end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.connection.run)
        await watched.connection.settled.wait()
        yield watched.connection
        tasks.cancel_scope.cancel()


@ERAS
async def test_a_connection_is_ready_once_it_has_shaken_hands_and_listed_its_tools(era: Era) -> None:
    server = Embedded()
    watched = Watched(server.endpoint, era=era)
    async with opened(watched) as connection:
        result = await connection.send(call := a_call(seconds=1.0))

        assert (connection.state, connection.era, connection.reason) == ("ready", era, "")
        assert connection.capabilities.tools is not None
        assert watched.listings == [["wait"]]
        assert isinstance(result, ToolResult)
        assert call.attempts == 1
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


async def test_the_listing_is_refreshed_now_and_then() -> None:
    server = Embedded()
    watched = Watched(server.endpoint)
    async with opened(watched):
        server.server.add_tool(server.wait, name="more")
        await anyio.sleep(79.0)
        assert len(watched.listings) == 1
        await anyio.sleep(42.0)

        assert watched.listings == [["wait"], ["wait", "more"]]


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
