"""A server in several places: one name, one listing, and replicas that come and go while calls run."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.servers.watching import eventually, text_of
from tests.unit.resilience.outcomes import note
from trunkline import EnhancedMCPClient, HealthPolicy, InProcessEndpoint, RetryPolicy, ServerPolicy, ServerSettings
from trunkline.events import AttemptFinished, Event
from trunkline.health.report import DependencyHealth
from trunkline.testing.scripted_server import ScriptedServer, fail, slow, words

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1", "SEED-CLIENT-2")]

FIRST, SECOND, THIRD = "in-process", "in-process#2", "in-process#3"


def settings(*servers: ScriptedServer, **policies: Any) -> ServerSettings:
    policy = replace(ServerPolicy(trust_annotations=True, health=HealthPolicy(enabled=False)), **policies)
    first, *others = (InProcessEndpoint(server) for server in servers)
    return ServerSettings("s", first, policy, tuple(others))


def client_of(given: ServerSettings, events: list[Event] | None = None) -> EnhancedMCPClient:
    observers = [] if events is None else [events.append]
    return EnhancedMCPClient([given], observers=observers, rng=random.Random(1))


async def all_ready(client: EnhancedMCPClient) -> None:
    for replica in client.fleet.stacks["s"].replicas:
        await replica.pool.settled.wait()


def named(client: EnhancedMCPClient) -> DependencyHealth:
    (found,) = client.health().servers
    return found


async def test_calls_are_spread_over_the_replicas_and_answers_say_where_they_came_from() -> None:
    servers = [ScriptedServer() for _ in range(3)]
    events: list[Event] = []
    async with client_of(settings(*servers), events) as client:
        await all_ready(client)
        came = {(await client.call_tool("s_write")).provenance.replica for _ in range(60)}
    assert came == {FIRST, SECOND, THIRD}
    assert all(len(server.executed) > 5 for server in servers)
    assert {event.replica for event in events if isinstance(event, AttemptFinished)} == came


async def test_a_retry_goes_to_another_replica() -> None:
    async def lose(server: ScriptedServer, _context: Any) -> str:
        server.end_connection()
        await anyio.sleep_forever()
        raise AssertionError

    servers = [ScriptedServer(*[lose] * 30) for _ in range(2)]
    servers.append(ScriptedServer())
    async with client_of(settings(*servers, era="2025-11-25")) as client:
        await all_ready(client)
        result = await client.call_tool("s_read")
        assert result.provenance.replica == THIRD
        assert result.provenance.attempts <= 3


async def test_a_replica_that_is_down_costs_no_call_and_shows_in_health_and_availability() -> None:
    well, down = ScriptedServer(), ScriptedServer()
    down.is_down = True
    async with client_of(settings(well, down)) as client:
        await all_ready(client)
        for _ in range(20):
            assert not (await client.call_tool("s_write")).provenance.degraded
        health = named(client)
        assert (health.state, [part.state for part in health.replicas]) == ("degraded", ["healthy", "degraded"])
        assert "1 of 2 replicas" in health.reason
        assert client.registry.availability("s_read").state == "degraded"
        assert client.health().is_ready
        assert client.health().reasons == (f"s is degraded: {health.reason}",)


async def test_the_first_replica_that_is_ready_says_what_the_tools_are() -> None:
    one, two = ScriptedServer(), ScriptedServer()
    one.is_down = True
    async with client_of(settings(one, two)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["s_read", "s_write"]
        stack = client.fleet.stacks["s"]
        assert stack.leads(SECOND)
        one.is_down = False
        await eventually(lambda: stack.replicas[0].pool.is_ready, within=60.0)
        assert not stack.leads(SECOND)
        assert stack.leads(FIRST)
        assert not stack.leads("no such replica")


async def test_a_replica_that_is_added_serves_and_the_others_keep_their_connections() -> None:
    one, two, three = (ScriptedServer() for _ in range(3))
    before = settings(one, two)
    async with client_of(before) as client:
        await all_ready(client)
        kept = client.fleet.stacks["s"].replicas
        client.apply([settings(one, two, three)])
        assert client.fleet.stacks["s"].replicas[:2] == kept
        await all_ready(client)
        for _ in range(60):
            await client.call_tool("s_write")
    assert three.executed


async def test_a_replica_that_is_removed_finishes_its_calls_and_is_gone() -> None:
    one, two = ScriptedServer(*[slow(1.0)] * 20), ScriptedServer(*[slow(1.0)] * 20)
    third = ScriptedServer()
    async with client_of(settings(one, two, third)) as client:
        await all_ready(client)
        done: list[bool] = []

        async def call() -> None:
            done.append((await client.call_tool("s_write")).is_error)

        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(call)
            await anyio.sleep(0.1)
            client.apply([settings(one, two)])
        assert done == [False] * 12
        assert [part.name for part in named(client).replicas] == [FIRST, SECOND]
        assert client.registry.availability("s_read").state == "available"


async def test_a_changed_policy_keeps_every_replicas_connections_and_begins_its_state_anew() -> None:
    servers = [ScriptedServer() for _ in range(2)]
    before = settings(*servers)
    async with client_of(before) as client:
        await all_ready(client)
        old = client.fleet.stacks["s"].replicas
        client.apply([replace(before, policy=replace(before.policy, retry=RetryPolicy(enabled=False)))])
        new = client.fleet.stacks["s"].replicas
        assert [replica.pool for replica in new] == [replica.pool for replica in old]
        assert all(one is not other for one, other in zip(old, new, strict=True))


async def test_one_replicas_failures_leave_it_out_and_its_recovery_takes_it_back() -> None:
    servers = [ScriptedServer() for _ in range(3)]
    events: list[Event] = []
    async with client_of(settings(*servers), events) as client:
        await all_ready(client)
        stack = client.fleet.stacks["s"]
        now = anyio.current_time()
        for _ in range(5):
            note(stack._outliers, FIRST, ok=False, now=now)
        assert client.registry.availability("s_read").state == "degraded"
        for _ in range(20):
            assert (await client.call_tool("s_write")).provenance.replica != FIRST
        stack.readmit(FIRST, anyio.current_time())
        assert client.registry.availability("s_read").state == "available"
    assert [type(event).__name__ for event in events if type(event).__name__.startswith("Replica")] == [
        "ReplicaEjected",
        "ReplicaReadmitted",
    ]


async def test_a_tools_own_failure_is_no_failure_of_its_replica() -> None:
    servers = [ScriptedServer(*[fail] * 30) for _ in range(2)]
    async with client_of(settings(*servers)) as client:
        await all_ready(client)
        for _ in range(30):
            assert (await client.call_tool("s_read")).is_error
        assert client.fleet.stacks["s"]._outliers.ejected(anyio.current_time()) == ()


async def test_a_server_in_one_place_has_no_replicas_to_speak_of() -> None:
    async with client_of(settings(ScriptedServer(words("alone")))) as client:
        result = await client.call_tool("s_write")
        assert (text_of(result), result.provenance.replica) == ("alone", None)
        assert named(client).replicas == ()
