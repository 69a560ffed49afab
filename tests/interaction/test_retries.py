"""Retrying over a real session: what is tried again, when, at whose cost, and what is told in the end."""

from __future__ import annotations

import anyio
import pytest
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from tests.interaction.worlds import ONCE, Elapsed, error_of, world
from trunkline import (
    AttemptTimeout,
    BreakerPolicy,
    CircuitOpen,
    ConnectionLost,
    PoolPolicy,
    RetryPolicy,
    ServerError,
    ServerUnavailable,
)
from trunkline.events import AttemptFinished, CallFinished, RetryScheduled
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, die, fail, hang, refuse

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]

NO_BREAKER = BreakerPolicy(enabled=False)


async def test_a_repeatable_call_is_tried_again_after_a_drawn_pause(era: Era) -> None:
    server = ScriptedServer(hang, hang)
    async with world(server, era, attempt_timeout=1.0, retry=RetryPolicy(base=2.0)) as here:
        elapsed = Elapsed()
        result = await here.client.call_tool("s_read")
        assert result.provenance.attempts == 3
        assert not result.is_error
        pauses = [event.delay for event in here.told(RetryScheduled)]
        assert [event.attempt for event in here.told(RetryScheduled)] == [1, 2]
        assert {event.reason for event in here.told(RetryScheduled)} == {"AttemptTimeout"}
        assert 0 <= pauses[0] <= 2.0
        assert 0 <= pauses[1] <= 4.0
        assert elapsed() == pytest.approx(2.0 + sum(pauses))
        starts = [at for _, at in server.executed]
        assert starts[1] - starts[0] == pytest.approx(1.0 + pauses[0])


async def test_a_call_that_must_not_run_twice_is_not_sent_again(era: Era) -> None:
    server = ScriptedServer(hang)
    async with world(server, era, attempt_timeout=1.0) as here:
        error = await error_of(here.client.call_tool("s_write"), AttemptTimeout)
        assert error.may_have_run
        assert error.attempts == 1
        assert [name for name, _ in server.executed] == ["write"]
        assert here.told(RetryScheduled) == []


async def test_attempts_end_at_the_policy_and_the_error_counts_them(era: Era) -> None:
    server = ScriptedServer(hang, hang, hang, hang)
    async with world(server, era, attempt_timeout=1.0, retry=RetryPolicy(attempts=3)) as here:
        error = await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert error.attempts == len(server.executed) == 3


@pytest.mark.parametrize("code", [INVALID_PARAMS, INTERNAL_ERROR, -32050])
async def test_what_the_server_answered_is_never_sent_again(era: Era, code: int) -> None:
    server = ScriptedServer(refuse(code))
    async with world(server, era) as here:
        error = await error_of(here.client.call_tool("s_read"), ServerError)
        assert error.error_code == code
        assert error.may_have_run
        assert len(server.executed) == 1


async def test_a_tools_own_failure_is_returned_and_never_sent_again(era: Era) -> None:
    server = ScriptedServer(fail)
    async with world(server, era) as here:
        result = await here.client.call_tool("s_read")
        assert result.is_error
        assert result.provenance.attempts == 1
        assert len(server.executed) == 1


async def test_the_budget_ends_a_storm_of_retries(era: Era) -> None:
    server = ScriptedServer(*[hang] * 100)
    policy = RetryPolicy(budget=40.0, timeout_cost=20.0)
    async with world(server, era, attempt_timeout=1.0, retry=policy, breaker=NO_BREAKER) as here:
        for _ in range(5):
            await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert len(here.told(RetryScheduled)) == 2
        assert len(server.executed) == 7
        assert here.stack.budget.balance == 0.0


async def test_a_retry_that_succeeds_gets_its_price_back(era: Era) -> None:
    server = ScriptedServer(hang)
    async with world(server, era, attempt_timeout=1.0) as here:
        await here.client.call_tool("s_read")
        assert here.stack.budget.balance == 100.0


async def test_a_retry_that_cannot_start_before_the_deadline_is_not_started(era: Era) -> None:
    server = ScriptedServer(hang, hang)
    policy = RetryPolicy(base=1000.0, cap=1000.0)
    async with world(server, era, attempt_timeout=1.0, retry=policy) as here:
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read", timeout=5.0), AttemptTimeout)
        assert elapsed() == 1.0
        assert error.may_have_run
        assert here.told(RetryScheduled) == []


async def test_a_connection_lost_under_many_calls_is_paid_for_once() -> None:
    server = ScriptedServer(*[hang] * 7, die)
    async with world(server, "2025-11-25", breaker=BreakerPolicy(consecutive=2)) as here:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(here.client.call_tool, "s_read")
        assert len(here.told(RetryScheduled)) == 8
        assert {event.outcome for event in here.told(AttemptFinished)} == {"ConnectionLost", "ok"}
        assert here.circuit_state() == "closed"
        assert here.stack.budget.balance >= 90.0


async def test_a_lost_connection_is_followed_by_another_attempt_on_the_next_one() -> None:
    server = ScriptedServer(die)
    async with world(server, "2025-11-25") as here:
        result = await here.client.call_tool("s_read")
        assert result.provenance.attempts == 2
        assert [event.outcome for event in here.told(AttemptFinished)] == ["ConnectionLost", "ok"]


async def test_a_call_that_must_not_run_twice_is_told_of_the_lost_connection_and_nothing_is_repeated() -> None:
    server = ScriptedServer(die)
    async with world(server, "2025-11-25") as here:
        error = await error_of(here.client.call_tool("s_write"), ConnectionLost)
        assert error.may_have_run
        assert len(server.executed) == 1


async def test_calls_made_right_after_a_connection_was_lost_were_never_sent_and_so_are_sent_again() -> None:
    server = ScriptedServer()
    async with world(server, "2025-11-25") as here:
        server.end_connection()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(here.client.call_tool, "s_write")
        assert len(server.executed) == 20
        assert [event.outcome for event in here.told(CallFinished)] == ["ok"] * 20


async def test_a_failure_that_may_have_run_outranks_the_refusal_after_it(era: Era) -> None:
    server = ScriptedServer(hang)
    breaker = BreakerPolicy(consecutive=1)
    async with world(server, era, attempt_timeout=1.0, breaker=breaker) as here:
        error = await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert error.may_have_run
        assert isinstance(error.__cause__, CircuitOpen)
        assert len(server.executed) == 1


async def test_an_unreachable_server_is_told_as_a_refusal_even_after_waiting(era: Era) -> None:
    server = ScriptedServer()
    server.is_down = True
    pool = PoolPolicy(patience=0.0)
    async with world(server, era, pool=pool, retry=ONCE) as here:
        error = await error_of(here.client.call_tool("s_read"), ServerUnavailable)
        assert not error.may_have_run
        assert server.executed == []
