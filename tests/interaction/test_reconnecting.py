"""Connections come and go under calls: waiting for the next one costs time, not attempts."""

from __future__ import annotations

import anyio
import pytest
import trio

from tests.interaction.worlds import Elapsed, error_of, world
from trunkline import HealthPolicy, PoolPolicy, ServerUnavailable, ToolNotFound
from trunkline.events import ConnectFailed, ConnectionEnded, ConnectionOpened
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, slow

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2", "SEED-RES-3")]


async def test_calls_wait_while_a_connection_is_reestablished_and_burn_no_attempt(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era) as here:
        server.startup = 4.0
        here.lose_connection()
        elapsed = Elapsed()
        results = []

        async def caller() -> None:
            results.append(await here.client.call_tool("s_write"))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(caller)
            await anyio.sleep(1.0)
            assert here.replica.pool.statistics().waiting == 5
        assert 4.0 <= elapsed() < 5.0
        assert [result.provenance.attempts for result in results] == [1] * 5
        assert here.replica.pool.statistics().waiting == 0


async def test_calls_under_way_finish_on_the_connection_that_is_replaced(era: Era) -> None:
    server = ScriptedServer(slow(1.5))
    async with world(server, era) as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.call_tool, "s_write")
            await anyio.sleep(0.1)
            here.lose_connection()
            await anyio.sleep(0.1)
            assert not (await here.client.call_tool("s_write")).is_error
        assert len(here.told(ConnectionOpened)) == 2


async def test_a_server_that_stays_away_is_reported_at_once_after_the_patience(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, pool=PoolPolicy(patience=5.0)) as here:
        server.is_down = True
        here.lose_connection()
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_write"), ServerUnavailable)
        assert 5.0 <= elapsed() < 8.0
        assert error.retry_after is not None
        now = elapsed()
        await error_of(here.client.call_tool("s_write"), ServerUnavailable)
        assert elapsed() == now
        assert not here.client.registry.is_available("s_write")


async def test_reconnecting_never_gives_up(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era) as here:
        server.is_down = True
        here.lose_connection()
        await anyio.sleep(600.0)
        assert here.client.health().state == "down"
        failures = [event.delay for event in here.told(ConnectFailed)]
        assert len(failures) > 100
        assert max(failures) <= 5.0
        server.is_down = False
        await anyio.sleep(6.0)
        result = await here.client.call_tool("s_write")
        assert not result.is_error
        assert here.client.registry.is_available("s_write")
        assert here.client.health().state == "healthy"


async def test_entering_the_client_never_fails_because_a_server_is_down(era: Era) -> None:
    server = ScriptedServer()
    server.is_down = True
    elapsed_before = anyio.current_time()
    async with world(server, era) as here:
        assert anyio.current_time() - elapsed_before < 5.0
        assert here.client.health().state == "degraded"
        server.is_down = False
        result = await here.client.call_tool("s_write")
        assert not result.is_error


async def test_a_call_made_before_the_first_listing_waits_for_it(era: Era) -> None:
    server = ScriptedServer()
    server.startup = 3.0
    async with world(server, era) as here:
        server.startup = 0.0
        here.lose_connection()
        await here.client.call_tool("s_write")
        await error_of(here.client.call_tool("nowhere"), ToolNotFound)


async def test_a_connection_that_gives_no_sign_of_life_is_replaced() -> None:
    server = ScriptedServer()
    health = HealthPolicy(interval=1.0, timeout=1.0, restart_after=2)
    async with world(server, "2025-11-25", health=health) as here:
        server.is_silent = True
        await anyio.sleep(10.0)
        server.is_silent = False
        await anyio.sleep(10.0)
        assert "no sign of life" in here.told(ConnectionEnded)[0].reason
        assert here.client.health().state == "healthy"


async def test_leaving_ends_every_task_and_waits_for_calls_under_way(era: Era) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    server = ScriptedServer(slow(1.0))
    async with anyio.create_task_group() as tasks, world(server, era) as here:
        tasks.start_soon(here.client.call_tool, "s_write")
        await anyio.sleep(0.1)
    assert trio.lowlevel.current_statistics().tasks_living == before
