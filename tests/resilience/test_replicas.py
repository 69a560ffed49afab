"""Replicas under fire: one of three is killed or frozen again and again, or is far slower than the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.resilience.conftest import Report
from tests.resilience.storms import Ledger, storm
from trunkline import EnhancedMCPClient, HedgePolicy, HttpEndpoint, ServerPolicy, ServerSettings
from trunkline.events import AttemptFinished, CallFinished, Event
from trunkline.testing import journal
from trunkline.testing.processes import FaultyHttp, faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

IS_DRILL = "STORM_SECONDS" in os.environ
SECONDS = float(os.environ.get("STORM_SECONDS", "6"))
REPLICAS = 3
CALLERS = 6


@asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[list[FaultyHttp]]:
    """Three servers over HTTP, each with a journal of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(faulty_http(journal=folder / f"journal-{number}"))
            for number in range(REPLICAS)
        ]


def settings(servers: list[FaultyHttp], policy: ServerPolicy) -> ServerSettings:
    first, *others = (HttpEndpoint(server.url) for server in servers)
    return ServerSettings("s", first, policy, tuple(others))


def executed(folder: Path, phase: journal.Phase) -> Counter[str]:
    """How often each operation reached `phase`, at all replicas together."""
    found = Counter[str]()
    for number in range(REPLICAS):
        found += journal.executions(folder / f"journal-{number}", phase)
    return found


class Tail:
    """Durations of calls, and attempts made for them."""

    def __init__(self) -> None:
        self.durations: list[float] = []
        self.calls = 0
        self.attempts = 0

    def observe(self, event: Event) -> None:
        """Take note of a call or an attempt."""
        if isinstance(event, CallFinished):
            self.durations.append(event.duration)
            self.calls += 1
        self.attempts += isinstance(event, AttemptFinished)

    def reset(self) -> None:
        """Begin anew, with no call under way."""
        self.durations, self.calls, self.attempts = [], 0, 0

    @property
    def p99(self) -> float:
        """Seconds."""
        return sorted(self.durations)[int(0.99 * len(self.durations))]

    @property
    def extra(self) -> float:
        """Attempts beyond one per call, as a share."""
        return self.attempts / self.calls - 1


@pytest.mark.requirement("R1")
async def test_no_call_fails_while_one_of_three_replicas_is_always_dead(tmp_path: Path, report: Report) -> None:
    """Whichever is dead, the others serve: nothing waits for a restart."""
    ledger, kills, tail = Ledger(), 0, Tail()
    async with replicas(tmp_path) as servers:
        policy = ServerPolicy(trust_annotations=True)
        client = EnhancedMCPClient([settings(servers, policy)], observers=[tail.observe])
        async with client, anyio.create_task_group() as tasks:

            async def kill_in_turns() -> None:
                nonlocal kills
                end = anyio.current_time() + SECONDS
                while anyio.current_time() < end:
                    victim = servers[kills % REPLICAS]
                    await victim.kill()
                    kills += 1
                    await anyio.sleep(1.0)
                    await victim.start()

            tasks.start_soon(kill_in_turns)
            await storm(client, "s_lookup", ledger, callers=CALLERS, seconds=SECONDS, delay_ms=10)
    figures = f"{ledger.calls} calls, {kills} kills, {ledger.success_ratio:.3%} succeeded, {tail.extra:+.1%} attempts"
    report("R1", "3 replicas", figures)
    assert kills >= 3
    assert ledger.calls > 20
    assert ledger.success_ratio == 1.0
    if IS_DRILL:
        assert tail.extra <= 0.10


@pytest.mark.requirement("R2")
async def test_calls_that_must_not_run_twice_never_do_while_replicas_are_killed(tmp_path: Path, report: Report) -> None:
    ledger, kills = Ledger(), 0
    async with replicas(tmp_path) as servers:
        policy = ServerPolicy(trust_annotations=True, hedge=HedgePolicy(enabled=True, delay=0.001))
        async with EnhancedMCPClient([settings(servers, policy)]) as client, anyio.create_task_group() as tasks:

            async def kill_in_turns() -> None:
                nonlocal kills
                end = anyio.current_time() + SECONDS
                while anyio.current_time() < end:
                    victim = servers[kills % REPLICAS]
                    await victim.restart()
                    kills += 1
                    await anyio.sleep(0.5)

            tasks.start_soon(kill_in_turns)
            await storm(client, "s_append", ledger, callers=CALLERS, seconds=SECONDS, delay_ms=10)
    # One that was begun before its replica was killed may have had its effect.
    begun, done = executed(tmp_path, "before"), executed(tmp_path, "after")
    twice = [op for op, times in begun.items() if times > 1]
    lost = [op for op in ledger.succeeded if op not in done]
    denied = [op for op in ledger.rejected if op in begun]
    figures = (
        f"{ledger.calls} calls, {kills} kills, {len(ledger.uncertain)} told that they may have run, {len(twice)} twice"
    )
    report("R2", "3 replicas", figures)
    assert (twice, lost, denied) == ([], [], [])
    assert len(ledger.succeeded) > 50
    assert ledger.uncertain, "no call was under way at any kill: that proves nothing"
