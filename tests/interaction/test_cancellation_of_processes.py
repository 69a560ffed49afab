"""The same promise to a real process, over a real pipe or socket: cancelled at any step, a call leaves nothing behind.

Real time, on asyncio, whose cancellation is delivered otherwise than trio's: a task that is woken already is cancelled
all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from tests.interaction.stepping import Moment, stepped
from tests.resilience.storms import child_pids
from tests.servers.watching import eventually
from trunkline import EnhancedMCPClient, HealthPolicy, ServerPolicy, ServerSettings, ToolResult
from trunkline.bus import EventBus
from trunkline.endpoint import Endpoint
from trunkline.events import CallFinished, CallStarted, Event
from trunkline.policy import Era
from trunkline.testing.processes import faulty_http, faulty_stdio
from trunkline.transport.http_connection import HttpConnection
from trunkline.transport.http_connections import _MOST
from trunkline.transport.piped import PipedCalls

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("R9"), pytest.mark.integration]

Way = Literal["scope", "task"]
"""Cancelled by anyio's cancel scope, or by asyncio's own `task.cancel()`."""

Over = Literal["stdio", "http"]

MOST_STEPS = 60
SOON = 5.0
"""Seconds in which a cancelled request is surely forgotten by both sides."""


@pytest.fixture
def anyio_backend() -> str:
    """Real time: pipes and processes do not follow a mock clock."""
    return "asyncio"


async def hear(progress: float, total: float | None, message: str | None) -> None:
    """Wait, as a callback may."""
    await anyio.lowlevel.checkpoint()


def quick(client: EnhancedMCPClient) -> Coroutine[Any, Any, ToolResult]:
    return client.call_tool("s_echo", {"text": "hello"})


def long(client: EnhancedMCPClient) -> Coroutine[Any, Any, ToolResult]:
    return client.call_tool("s_sleep", {"seconds": 0.01})


def telling(client: EnhancedMCPClient) -> Coroutine[Any, Any, ToolResult]:
    return client.call_tool("s_progress", {"steps": 3, "delay_ms": 2}, progress_callback=hear)


@asynccontextmanager
async def served(over: Over, era: Era, events: list[Event]) -> AsyncGenerator[EnhancedMCPClient, None]:
    """A client of one process."""
    policy = ServerPolicy(trust_annotations=True, era=era, health=HealthPolicy(enabled=False))
    async with AsyncExitStack() as stack:
        endpoint: Endpoint = faulty_stdio(era=era)
        if over == "http":
            endpoint = (await stack.enter_async_context(faulty_http(era=era))).endpoint
        settings = ServerSettings("s", endpoint, policy)
        client = await stack.enter_async_context(EnhancedMCPClient([settings], bus=EventBus([events.append])))
        await client.list_tools()
        yield client


async def cancel_at(call: Coroutine[Any, Any, ToolResult], step: int, moment: Moment, way: Way) -> bool:
    """Run a call in a task of its own and cancel it at one of its steps; returns whether it has so many."""
    reached = False
    scope = anyio.CancelScope()

    def cancel() -> None:
        nonlocal reached
        reached = True
        if way == "scope":
            scope.cancel()
        else:
            # One turn of the loop later: a task cannot cancel the very wait that it is about to begin.
            asyncio.get_running_loop().call_soon(task.cancel)

    async def run() -> None:
        with scope:
            await stepped(call, step, moment, cancel)

    task = asyncio.create_task(run())
    with suppress(asyncio.CancelledError):
        await task
    return reached


async def until_at_rest(client: EnhancedMCPClient) -> None:
    """Wait until every number that counts calls is back to zero, and nothing waits to be written."""
    (replica,) = client.fleet.stacks["s"].replicas
    (connection,) = replica.pool._ledger.connections
    session = connection._session
    assert session is not None
    dispatcher: Any = session._client._dispatcher
    pool, admission = replica.pool.statistics(), replica.admission
    assert (pool.in_flight, pool.waiting, admission.in_flight, admission.waiting) == (0, 0, 0, 0)
    # The standing subscription to listings is meant to stay, and the listing that follows its start takes a moment.
    await eventually(lambda: all(wire.startswith("listen-") for wire in dispatcher._wires), within=SOON)
    short_way = dispatcher._inner
    if isinstance(short_way, PipedCalls):
        assert short_way._answers._awaited == {}
        with anyio.fail_after(SOON):
            while len(short_way._outbox):
                await anyio.lowlevel.checkpoint()
    else:
        connections: Any = short_way._transport

        def idle() -> set[HttpConnection]:
            return {each for kept in connections._idle.values() for each in kept}

        def are_accounted_for() -> bool:
            """Whether each turn has its connection, of which one is the standing stream that tells of changes."""
            used = len(connections._open - idle())
            return used <= 1 and connections._turns.value + used == _MOST

        await eventually(are_accounted_for, within=SOON)


@pytest.mark.parametrize("way", ["scope", "task"])
@pytest.mark.parametrize("moment", ["falling asleep", "waking up"])
@pytest.mark.parametrize("call", [quick, long, telling])
@pytest.mark.parametrize("over", ["stdio", "http"])
async def test_cancelling_a_call_to_a_process_at_any_step_leaks_nothing(
    over: Over, era: Era, call: Callable[[EnhancedMCPClient], Coroutine[Any, Any, ToolResult]], moment: Moment, way: Way
) -> None:
    events: list[Event] = []
    children = len(child_pids("faulty_stdio"))
    with anyio.fail_after(60):
        async with served(over, era, events) as client:
            await quick(client)
            baseline = asyncio.all_tasks()
            for step in range(1, MOST_STEPS):
                reached = await cancel_at(call(client), step, moment, way)
                await until_at_rest(client)
                result = await quick(client)
                assert not result.is_error
                assert client.fleet.stacks["s"].replicas[0].pool.statistics().ready == 1
                assert len(child_pids("faulty_stdio")) == children + (over == "stdio")
                if not reached:
                    break
            else:
                raise AssertionError("the call never completes")
            assert step > 1
            # A generator that is left in the middle is closed by a task of its own, in the loop's next steps.
            await eventually(lambda: asyncio.all_tasks() <= baseline, within=SOON)
    started = [event.call_id for event in events if isinstance(event, CallStarted)]
    finished = [event.call_id for event in events if isinstance(event, CallFinished)]
    assert sorted(started) == sorted(finished)
    assert len(set(finished)) == len(finished)
    assert len(child_pids("faulty_stdio")) == children
