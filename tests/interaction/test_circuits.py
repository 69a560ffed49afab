"""The circuit over a real session and virtual time: what opens it, what is let through, what closes it."""

from __future__ import annotations

import anyio
import pytest

from tests.interaction.worlds import ONCE, Elapsed, World, error_of, world
from trunkline import (
    AttemptTimeout,
    BreakerPolicy,
    BulkheadFull,
    BulkheadPolicy,
    CircuitOpen,
    DeadlineExceeded,
    HealthPolicy,
    RetryPolicy,
    ServerError,
)
from trunkline.events import CircuitChanged
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, fail, hang, refuse, slow

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-2")]

THREE = BreakerPolicy(consecutive=3, open_for=4.0, successes=2)


async def open_circuit(here: World, times: int = 3) -> None:
    """Let attempts time out until the circuit opens."""
    here.server.steps.extend([hang] * times)
    for _ in range(times):
        await error_of(here.client.call_tool("s_read"), AttemptTimeout)
    assert here.circuit_state() == "open"


def moves(here: World) -> list[tuple[str, str]]:
    """The circuit's transitions, in order."""
    return [(event.old, event.new) for event in here.told(CircuitChanged)]


async def test_it_opens_after_failures_in_a_row_and_refuses_without_sending(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read"), CircuitOpen)
        assert elapsed() == 0.0
        assert not error.may_have_run
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 4.0
        assert len(server.executed) == 3


async def test_it_lets_a_probe_through_after_its_open_time_and_closes_after_two_proofs(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        refused = await error_of(here.client.call_tool("s_read"), CircuitOpen)
        await anyio.sleep(refused.retry_after or 0.0)
        await here.client.call_tool("s_read")
        assert here.circuit_state() == "half_open"
        await here.client.call_tool("s_read")
        assert here.circuit_state() == "closed"
        assert moves(here) == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


async def test_a_failed_probe_opens_it_for_longer(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        await anyio.sleep(4.0)
        server.steps.append(hang)
        await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert here.circuit_state() == "open"
        refused = await error_of(here.client.call_tool("s_read"), CircuitOpen)
        assert refused.retry_after is not None
        assert 4.0 <= refused.retry_after <= 8.0


async def test_one_probe_at_a_time_is_let_through(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        await anyio.sleep(4.0)
        server.steps.append(slow(0.5))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.call_tool, "s_read")
            await anyio.sleep(0.1)
            await error_of(here.client.call_tool("s_read"), CircuitOpen)
        assert len(server.executed) == 4


async def test_a_call_that_must_not_run_twice_is_not_the_probe_where_others_probe(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE, health=HealthPolicy()) as here:
        await open_circuit(here)
        # Due now; the synthetic probe still sleeps until the time that it was told.
        here.replica.circuit._open_until = anyio.current_time()
        error = await error_of(here.client.call_tool("s_write"), CircuitOpen)
        assert error.retry_after is not None
        assert {name for name, _ in server.executed} == {"read"}
        for _ in range(2):
            await here.client.call_tool("s_read")
        await here.client.call_tool("s_write")


async def test_where_nobody_probes_any_call_finds_out_whether_the_server_is_back(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        await anyio.sleep(4.0)
        for _ in range(2):
            await here.client.call_tool("s_write")
        assert here.circuit_state() == "closed"


async def test_a_hanging_server_opens_its_circuit_under_callers_with_short_deadlines(era: Era) -> None:
    server = ScriptedServer(*[hang] * 100)
    async with world(server, era, breaker=THREE) as here:
        for _ in range(3):
            error = await error_of(here.client.call_tool("s_read", timeout=0.5), DeadlineExceeded)
            assert error.may_have_run
        await error_of(here.client.call_tool("s_read", timeout=0.5), CircuitOpen)
        assert len(server.executed) == 3


async def test_callers_that_cancel_prove_nothing(era: Era) -> None:
    server = ScriptedServer(*[hang] * 100)
    async with world(server, era, breaker=THREE) as here:
        for _ in range(10):
            with anyio.move_on_after(0.5):
                await here.client.call_tool("s_read")
        assert here.circuit_state() == "closed"
        assert len(server.executed) == 10


async def test_a_cancelled_probe_frees_its_slot_and_proves_nothing(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE) as here:
        await open_circuit(here)
        await anyio.sleep(4.0)
        server.steps.append(hang)
        with anyio.move_on_after(0.2):
            await here.client.call_tool("s_read")
        assert here.circuit_state() == "half_open"
        result = await here.client.call_tool("s_read")
        assert not result.is_error
        assert here.circuit_state() == "half_open"


async def test_late_failures_from_before_it_opened_say_nothing_once_it_has_closed_again(era: Era) -> None:
    server = ScriptedServer(hang, hang, hang)
    # So many places that the share of a recovering server holds the late ones and the probe.
    bulkhead = BulkheadPolicy(limit=100)
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE, bulkhead=bulkhead) as here:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(error_of, here.client.call_tool("s_read", None, 20.0), AttemptTimeout)
            await anyio.sleep(0.1)
            await open_circuit(here)
            await anyio.sleep(4.0)
            for _ in range(2):
                await here.client.call_tool("s_read")
            assert here.circuit_state() == "closed"
        assert here.circuit_state() == "closed"
        assert moves(here) == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


async def test_results_that_are_errors_do_not_trip_it(era: Era) -> None:
    server = ScriptedServer(*[fail] * 50)
    async with world(server, era, breaker=BreakerPolicy(consecutive=2, minimum=2)) as here:
        for _ in range(50):
            result = await here.client.call_tool("s_read")
            assert result.is_error
        assert here.told(CircuitChanged) == []


async def test_errors_about_one_call_do_not_trip_it(era: Era) -> None:
    server = ScriptedServer(*[refuse(-32602)] * 50)
    async with world(server, era, breaker=BreakerPolicy(consecutive=2, minimum=2)) as here:
        for _ in range(50):
            await error_of(here.client.call_tool("s_read"), ServerError)
        assert here.told(CircuitChanged) == []


async def test_a_server_that_fails_inside_trips_it_by_its_share_of_failures(era: Era) -> None:
    server = ScriptedServer(*[refuse(-32603)] * 50)
    async with world(server, era, breaker=BreakerPolicy(minimum=10)) as here:
        for _ in range(10):
            await error_of(here.client.call_tool("s_read"), ServerError)
        await error_of(here.client.call_tool("s_read"), CircuitOpen)


async def test_a_server_that_is_too_slow_trips_it(era: Era) -> None:
    server = ScriptedServer(*[slow(9.0)] * 20)
    async with world(server, era, breaker=BreakerPolicy(minimum=3, window=60.0)) as here:
        for _ in range(3):
            await here.client.call_tool("s_read")
        await error_of(here.client.call_tool("s_read"), CircuitOpen)
        assert "were slow" in here.told(CircuitChanged)[0].reason


async def test_refusals_on_our_side_prove_nothing(era: Era) -> None:
    server = ScriptedServer(slow(5.0))
    bulkhead = BulkheadPolicy(limit=1, waiting=0)
    async with world(server, era, retry=ONCE, breaker=BreakerPolicy(consecutive=1), bulkhead=bulkhead) as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.call_tool, "s_read")
            await anyio.sleep(0.1)
            for _ in range(5):
                await error_of(here.client.call_tool("s_read"), BulkheadFull)
        assert here.told(CircuitChanged) == []


async def test_a_background_probe_closes_it_without_any_call(era: Era) -> None:
    server = ScriptedServer()
    health = HealthPolicy(interval=1.0)
    async with world(server, era, attempt_timeout=1.0, retry=ONCE, breaker=THREE, health=health) as here:
        server.steps.extend([hang] * 3)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(error_of, here.client.call_tool("s_read"), AttemptTimeout)
        assert here.circuit_state() == "open"
        await anyio.sleep(4.0)
        assert here.circuit_state() == "closed"
        assert len(server.executed) == 3
        await here.client.call_tool("s_write")


async def test_a_minute_of_outage_costs_few_attempts_and_ends_by_itself(era: Era) -> None:
    server = ScriptedServer(*[hang] * 10_000)
    async with world(server, era, attempt_timeout=1.0, retry=RetryPolicy(), breaker=THREE) as here:
        while anyio.current_time() < 60.0:
            await error_of_any(here)
            await anyio.sleep(0.1)
        during = len(server.executed)
        assert during < 30
        server.steps.clear()
        await anyio.sleep(60.0)
        for _ in range(2):
            await here.client.call_tool("s_read")
        assert here.circuit_state() == "closed"


async def error_of_any(here: World) -> None:
    """One call that must fail, however it does."""
    with pytest.raises((AttemptTimeout, CircuitOpen)):
        await here.client.call_tool("s_read")
