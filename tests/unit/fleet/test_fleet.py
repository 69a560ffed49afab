"""Servers come, change and go while calls run."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import anyio
import pytest
import trio

from tests.interaction.worlds import Elapsed, error_of
from trunkline import (
    EnhancedMCPClient,
    HealthPolicy,
    InProcessEndpoint,
    PoolPolicy,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
    ServerUnavailable,
    ToolNotFound,
)
from trunkline.events import ConnectionOpened, Event
from trunkline.testing.scripted_server import ScriptedServer, slow

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2", "SEED-MCP-1")]


def settings(name: str, server: ScriptedServer | None = None, **policies: Any) -> ServerSettings:
    policy = replace(ServerPolicy(health=HealthPolicy(enabled=False)), **policies)
    return ServerSettings(name, InProcessEndpoint(server or ScriptedServer()), policy)


def client_of(*servers: ServerSettings, events: list[Event] | None = None) -> EnhancedMCPClient:
    observers = [] if events is None else [events.append]
    return EnhancedMCPClient(servers, observers=observers, rng=random.Random(1))


async def test_a_server_that_is_added_can_be_called() -> None:
    first = settings("a")
    async with client_of(first) as client:
        await error_of(client.call_tool("b_write"), ToolNotFound)
        client.apply([first, settings("b")])
        assert not (await client.call_tool("b_write")).is_error


async def test_a_server_that_is_removed_finishes_its_calls_and_is_gone() -> None:
    first, second = settings("a"), settings("b", ScriptedServer(slow(1.0)))
    async with client_of(first, second) as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            results = []

            async def call() -> None:
                results.append(await client.call_tool("b_write"))

            tasks.start_soon(call)
            await anyio.sleep(0.1)
            client.apply([first])
        assert [result.is_error for result in results] == [False]
        await error_of(client.call_tool("b_write"), ToolNotFound)
        assert [server.name for server in client.health().servers] == ["a"]
        assert "b_write" not in [tool.name for tool in (await client.list_tools()).tools]


async def test_equal_settings_leave_a_server_alone() -> None:
    first = settings("a")
    async with client_of(first) as client:
        before = client.fleet.stacks["a"]
        client.apply([replace(first)])
        assert client.fleet.stacks["a"] is before


async def test_a_changed_policy_keeps_the_connections() -> None:
    events: list[Event] = []
    first = settings("a")
    async with client_of(first, events=events) as client:
        pool = client.fleet.stacks["a"].replicas[0].pool
        client.apply([replace(first, policy=replace(first.policy, retry=RetryPolicy(enabled=False)))])
        assert client.fleet.stacks["a"].replicas[0].pool is pool
        assert not (await client.call_tool("a_write")).is_error
        await anyio.sleep(10.0)
    assert sum(isinstance(event, ConnectionOpened) for event in events) == 1


@pytest.mark.parametrize("changed", [{"pool": PoolPolicy(connections=2)}, {"refresh": 5.0}])
async def test_a_change_below_the_stack_opens_new_connections_and_drops_no_call(changed: dict[str, Any]) -> None:
    events: list[Event] = []
    server = ScriptedServer(slow(1.0))
    first = settings("a", server)
    async with client_of(first, events=events) as client:
        pool = client.fleet.stacks["a"].replicas[0].pool
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "a_write")
            await anyio.sleep(0.1)
            client.apply([replace(first, policy=replace(first.policy, **changed))])
            assert client.fleet.stacks["a"].replicas[0].pool is not pool
            assert not (await client.call_tool("a_write")).is_error


async def test_reloads_in_a_row_under_load_drop_no_call() -> None:
    server = ScriptedServer()
    first = settings("a", server)
    async with client_of(first) as client:
        done: list[bool] = []

        async def caller() -> None:
            for _ in range(20):
                done.append((await client.call_tool("a_write")).is_error)
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(caller)
            for number in range(20):
                await anyio.sleep(0.1)
                client.apply([replace(first, policy=replace(first.policy, refresh=100.0 + number))])
        assert done == [False] * 100


async def test_entering_waits_for_the_first_server_only() -> None:
    late = ScriptedServer()
    late.startup = 9.0
    elapsed = Elapsed()
    async with client_of(settings("late", late), settings("quick")) as client:
        assert elapsed() < 1.0
        assert not (await client.call_tool("quick_write")).is_error
        assert elapsed() < 1.0


async def test_a_call_to_a_late_server_waits_for_it() -> None:
    late = ScriptedServer()
    late.startup = 5.0
    async with client_of(settings("late", late), settings("quick")) as client:
        elapsed = Elapsed()
        assert not (await client.call_tool("late_write")).is_error
        assert elapsed() == pytest.approx(5.0, abs=0.1)


async def test_a_listing_waits_for_late_servers_but_not_for_ever() -> None:
    late = ScriptedServer()
    late.startup = 9.0
    async with client_of(settings("late", late), settings("quick")) as client:
        elapsed = Elapsed()
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == ["quick_read", "quick_write"]
        assert elapsed() == pytest.approx(3.0, abs=0.1)


async def test_a_tool_of_a_server_that_was_never_reached_is_unavailable_rather_than_unknown() -> None:
    down = ScriptedServer()
    down.is_down = True
    async with client_of(settings("down", down, pool=PoolPolicy(patience=0.0)), settings("up")) as client:
        await error_of(client.call_tool("down_write"), ServerUnavailable)
        await error_of(client.call_tool("up_nothing"), ToolNotFound)


async def test_a_client_without_servers_opens_and_says_that_it_has_no_tools() -> None:
    async with client_of() as client:
        assert (await client.list_tools()).tools == []
        await error_of(client.call_tool("anything"), ToolNotFound)
        assert client.health().is_ready


async def test_a_client_that_was_left_takes_no_servers() -> None:
    client = client_of(settings("a"))
    async with client:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        client.apply([settings("b")])


async def test_a_client_may_be_left_by_another_task_than_the_one_that_entered_it() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    client = client_of(settings("a"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.__aenter__)
    assert not (await client.call_tool("a_write")).is_error
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.aclose)
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_client_that_is_cancelled_while_it_opens_leaves_nothing_behind() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    late = ScriptedServer()
    late.startup = 8.0
    with anyio.move_on_after(1.0) as scope:
        async with client_of(settings("late", late)):
            raise AssertionError
    assert scope.cancelled_caught
    await anyio.sleep(20.0)
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_fleet_says_how_many_of_its_servers_are_ready() -> None:
    down = ScriptedServer()
    down.is_down = True
    async with client_of(settings("down", down), settings("up")) as client:
        await anyio.sleep(1.0)
        assert repr(client.fleet) == "<Fleet [1 of 2 servers ready]>"
        assert "\n" not in repr(client)
