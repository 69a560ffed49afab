"""The deadline bounds the whole call, the timeout one attempt; progress moves the second, never the first."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp.server.context import ServerRequestContext

from tests.interaction.worlds import ONCE, Elapsed, error_of, world
from trunkline import (
    AttemptTimeout,
    BreakerPolicy,
    BulkheadPolicy,
    DeadlineExceeded,
    RetryPolicy,
    ServerUnavailable,
    ToolPolicy,
)
from trunkline.events import AttemptFinished, RetryScheduled
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, die, hang, progressing, slow

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1", "SEED-CLIENT-3")]


async def hear(progress: float, total: float | None, message: str | None) -> None:
    """Take note of nothing."""


async def progress_once_then_hang(server: ScriptedServer, context: ServerRequestContext[Any]) -> str:
    """Tell of progress after three seconds, and of nothing more."""
    await progressing(1, every=3.0)(server, context)
    return await hang(server, context)


async def test_attempts_and_pauses_fit_inside_the_deadline(era: Era) -> None:
    server = ScriptedServer(*[hang] * 20)
    retry = RetryPolicy(attempts=20, cap=0.2)
    async with world(server, era, attempt_timeout=2.0, retry=retry, breaker=BreakerPolicy(enabled=False)) as here:
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read", timeout=7.0), DeadlineExceeded)
        assert elapsed() == 7.0
        assert error.may_have_run
        assert error.attempts == len(server.executed) == 4
        assert len(here.told(RetryScheduled)) == error.attempts - 1


async def test_waiting_for_a_turn_counts_against_the_deadline(era: Era) -> None:
    server = ScriptedServer(slow(20.0))
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1), attempt_timeout=60.0) as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.call_tool, "s_read")
            await anyio.sleep(0.1)
            elapsed = Elapsed()
            error = await error_of(here.client.call_tool("s_read", timeout=3.0), DeadlineExceeded)
            assert elapsed() == 3.0
            assert not error.may_have_run
            assert error.attempts == 0
        assert len(server.executed) == 1


async def test_waiting_for_a_connection_counts_against_the_deadline(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=60.0) as here:
        server.startup = 8.0
        here.lose_connection()
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_write", timeout=3.0), DeadlineExceeded)
        assert elapsed() == 3.0
        assert not error.may_have_run
        assert server.executed == []


async def test_a_hanging_attempt_ends_at_its_timeout_and_the_server_hears_of_it(era: Era) -> None:
    server = ScriptedServer(hang)
    async with world(server, era, attempt_timeout=4.0, retry=ONCE) as here:
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert elapsed() == 4.0
        assert error.may_have_run
        await anyio.sleep(1.0)
        assert server.busy == 0
        assert [event.outcome for event in here.told(AttemptFinished)] == ["timeout"]


async def test_an_attempt_that_was_never_sent_times_out_as_a_refusal(era: Era) -> None:
    server = ScriptedServer()
    async with world(server, era, attempt_timeout=2.0, retry=ONCE) as here:
        server.startup = 8.0
        here.lose_connection()
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_write"), ServerUnavailable)
        assert elapsed() == 2.0
        assert not error.may_have_run


async def test_the_callers_own_attempt_timeout_beats_the_servers(era: Era) -> None:
    server = ScriptedServer(hang)
    async with world(server, era, attempt_timeout=9.0, retry=ONCE) as here:
        elapsed = Elapsed()
        await error_of(here.client.call_tool("s_read", None, 1.5), AttemptTimeout)
        assert elapsed() == 1.5


async def test_a_tools_policy_sets_its_deadline_and_its_attempt_timeout(era: Era) -> None:
    server = ScriptedServer(hang, hang)
    async with world(server, era, retry=ONCE) as here:
        here.client.registry.set_policies(tools={"s_read": ToolPolicy(attempt_timeout=1.0)})
        elapsed = Elapsed()
        await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert elapsed() == 1.0
        here.client.registry.set_policies(tools={"s_read": ToolPolicy(timeout=2.0)})
        await error_of(here.client.call_tool("s_read"), DeadlineExceeded)
        assert elapsed() == 3.0


async def test_progress_extends_the_attempt(era: Era) -> None:
    server = ScriptedServer(progressing(5, every=3.0))
    async with world(server, era, attempt_timeout=4.0, retry=ONCE) as here:
        heard: list[tuple[float, float | None]] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, total))

        elapsed = Elapsed()
        result = await here.client.call_tool("s_read", progress_callback=note)
        assert elapsed() == 15.0
        assert not result.is_error
        assert heard == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


async def test_an_attempt_that_stops_telling_of_progress_times_out(era: Era) -> None:
    server = ScriptedServer(progress_once_then_hang)
    async with world(server, era, attempt_timeout=4.0, retry=ONCE) as here:
        elapsed = Elapsed()
        await error_of(here.client.call_tool("s_read", progress_callback=hear), AttemptTimeout)
        assert elapsed() == 7.0


async def test_progress_never_extends_the_deadline(era: Era) -> None:
    server = ScriptedServer(progressing(100, every=1.0))
    async with world(server, era, attempt_timeout=4.0) as here:
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read", progress_callback=hear, timeout=10.0), DeadlineExceeded)
        assert elapsed() == 10.0
        assert error.may_have_run


async def test_a_call_without_progress_is_not_extended_by_a_busy_server(era: Era) -> None:
    server = ScriptedServer(progressing(100, every=1.0))
    async with world(server, era, attempt_timeout=4.0, retry=ONCE) as here:
        elapsed = Elapsed()
        await error_of(here.client.call_tool("s_read"), AttemptTimeout)
        assert elapsed() == 4.0


async def test_a_deadline_between_two_attempts_remembers_that_the_first_may_have_run() -> None:
    server = ScriptedServer(die)
    async with world(server, "2025-11-25", attempt_timeout=60.0) as here:
        server.startup = 30.0
        elapsed = Elapsed()
        error = await error_of(here.client.call_tool("s_read", timeout=5.0), DeadlineExceeded)
        assert elapsed() == 5.0
        assert error.may_have_run
        assert error.attempts == 1


async def test_a_result_at_the_last_moment_is_returned(era: Era) -> None:
    server = ScriptedServer(slow(4.999))
    async with world(server, era) as here:
        result = await here.client.call_tool("s_read", timeout=5.0)
        assert result.provenance.duration == pytest.approx(4.999)
