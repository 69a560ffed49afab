"""A call cancelled at any of its await points leaves nothing behind: no permit, lease, task, message or record.

Each scenario is played over and over; each time the call is cancelled one step later, until one run completes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.interaction.stepping import Moment, stepped
from tests.interaction.test_observing import pairs_up
from tests.interaction.worlds import World, error_of, world
from trunkline import AttemptTimeout, BreakerPolicy, BulkheadPolicy, RetryPolicy, ToolResult
from trunkline.events import CallFinished
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, die, hang, progressing, slow
from trunkline.transport.wire import Wires

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("R9")]

MOST_STEPS = 200
"""A call that has more await points than this does not end."""

ONE_TRY = RetryPolicy(attempts=1)
TRIPPING = BreakerPolicy(consecutive=1, open_for=2.0, successes=3)


async def hear(progress: float, total: float | None, message: str | None) -> None:
    """Wait a moment, as a callback may."""
    await anyio.sleep(0.01)


async def nothing(_here: World) -> None:
    """Need no preparation."""


def plain(here: World) -> Coroutine[Any, Any, ToolResult]:
    return here.client.call_tool("s_read")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens before the call, in which policies, and the call."""

    name: str
    prepare: Callable[[World], Awaitable[None]] = nothing
    call: Callable[[World], Coroutine[Any, Any, ToolResult]] = plain
    policies: dict[str, Any] = field(default_factory=dict)
    settle: float = 60.0
    """Virtual seconds until everything the preparation started has ended by itself."""


async def first_attempt_hangs(here: World) -> None:
    here.server.steps.append(hang)


async def connection_dies(here: World) -> None:
    here.server.steps.append(die)


async def reconnecting(here: World) -> None:
    here.server.startup = 2.0
    here.lose_connection()
    await wait_all_tasks_blocked()
    assert not here.replica.pool.is_ready


async def bulkhead_is_full(here: World) -> None:
    here.server.steps.append(slow(5.0))

    async def occupy() -> None:
        await here.client.call_tool("s_write")

    trio.lowlevel.spawn_system_task(occupy)
    await wait_all_tasks_blocked()
    assert here.replica.admission.in_flight == 1


async def circuit_is_half_open(here: World) -> None:
    here.server.steps.append(hang)
    await error_of(here.client.call_tool("s_read"), AttemptTimeout)
    assert here.circuit_state() == "open"
    await anyio.sleep(2.0)
    here.server.steps.append(slow(0.2))


async def server_is_slow(here: World) -> None:
    here.server.steps.append(slow(0.5))


async def server_progresses(here: World) -> None:
    here.server.steps.append(progressing(3, every=0.5))


SCENARIOS = [
    Scenario("the happy path"),
    Scenario("a slow answer", server_is_slow),
    Scenario("an attempt that times out and is retried", first_attempt_hangs, policies={"attempt_timeout": 1.0}),
    Scenario("waiting for a connection", reconnecting),
    Scenario("waiting in the bulkhead", bulkhead_is_full, policies={"bulkhead": BulkheadPolicy(limit=1)}),
    Scenario(
        "being the half-open probe",
        circuit_is_half_open,
        policies={"breaker": TRIPPING, "retry": ONE_TRY, "attempt_timeout": 1.0},
    ),
    Scenario(
        "progress on the way",
        server_progresses,
        lambda here: here.client.call_tool("s_read", progress_callback=hear),
        policies={"attempt_timeout": 1.0},
    ),
]


async def play(scenario: Scenario, era: Era, step: int, moment: Moment) -> bool:
    """Cancel the call at one of its steps; returns whether it has so many."""
    async with world(ScriptedServer(), era, **scenario.policies) as here:
        await wait_all_tasks_blocked()
        baseline = trio.lowlevel.current_statistics().tasks_living
        await scenario.prepare(here)
        finished_before = len(here.told(CallFinished))
        reached = False
        with anyio.CancelScope() as scope:

            def cancel() -> None:
                nonlocal reached
                reached = True
                scope.cancel()

            await stepped(scenario.call(here), step, moment, cancel)
        mine = [event for event in here.told(CallFinished)[finished_before:] if event.name == "s_read"]
        assert mine, "the call was not told of"
        here.server.startup = 0.0
        # At once, without waiting for anything to settle: a probe's lease must be free already.
        assert not (await here.client.call_tool("s_read")).is_error
        await anyio.sleep(scenario.settle)
        await wait_all_tasks_blocked()
        at_rest(here)
        assert trio.lowlevel.current_statistics().tasks_living == baseline
        assert pairs_up(here.events)
        assert not (await here.client.call_tool("s_write")).is_error
        assert scope.cancelled_caught == (mine[0].outcome == "cancelled")
        return reached


def at_rest(here: World) -> None:
    """Every number that counts calls is back to zero."""
    pool, admission = here.replica.pool.statistics(), here.replica.admission
    assert (pool.in_flight, pool.waiting) == (0, 0)
    assert (admission.in_flight, admission.waiting) == (0, 0)
    assert here.replica.circuit._probe is None
    assert here.server.busy == 0
    assert wires_of(here) == {}


def wires_of(here: World) -> Wires:
    """The requests that the present connection believes to be under way."""
    (connection,) = here.replica.pool._ledger.connections
    session = connection._session
    assert session is not None
    dispatcher: Any = session._client._dispatcher
    wires: Wires = dispatcher._wires
    return wires


@pytest.mark.parametrize("moment", ["falling asleep", "waking up"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_cancelling_at_any_await_point_leaks_nothing(era: Era, scenario: Scenario, moment: Moment) -> None:
    assert await reaches_its_end(scenario, era, moment) >= 1


@pytest.mark.parametrize("moment", ["falling asleep", "waking up"])
async def test_cancelling_while_the_connection_dies_leaks_nothing(moment: Moment) -> None:
    scenario = Scenario("the connection dies", connection_dies)
    assert await reaches_its_end(scenario, "2025-11-25", moment) >= 3


async def reaches_its_end(scenario: Scenario, era: Era, moment: Moment) -> int:
    """Cancel at the first step, the second, and so on until the call completes before; returns how many there are."""
    for step in range(1, MOST_STEPS):
        if not await play(scenario, era, step, moment):
            return step - 1
    raise AssertionError("the call never completes")


async def test_cancelling_at_every_step_covers_queue_wire_pause_and_second_attempt(era: Era) -> None:
    seen = set()
    for step in range(1, MOST_STEPS):
        server = ScriptedServer(hang, slow(0.5))
        async with world(server, era, attempt_timeout=1.0, retry=RetryPolicy(base=1.0)) as here:
            with anyio.CancelScope() as scope:
                await stepped(here.client.call_tool("s_read"), step, "falling asleep", scope.cancel)
            (finished,) = here.told(CallFinished)
            seen.add((finished.outcome, finished.attempts))
            if finished.outcome == "ok":
                break
    assert {("cancelled", 1), ("cancelled", 2), ("ok", 2)} <= seen


@pytest.mark.parametrize("count", [1, 7])
async def test_cancelling_a_crowd_leaks_nothing(era: Era, count: int) -> None:
    server = ScriptedServer(*[slow(1.0)] * 100)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=2)) as here:
        await wait_all_tasks_blocked()
        baseline = trio.lowlevel.current_statistics().tasks_living
        for tick in range(25):
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(here.client.call_tool, "s_read")
                await anyio.sleep(tick * 0.1)
                tasks.cancel_scope.cancel()
            await wait_all_tasks_blocked()
            at_rest(here)
            assert trio.lowlevel.current_statistics().tasks_living == baseline
        server.steps.clear()
        assert not (await here.client.call_tool("s_read")).is_error
