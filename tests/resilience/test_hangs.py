"""R5 and R8: a server that hangs, and a server that fails every call, under many callers."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import anyio
import pytest

from tests.resilience.conftest import Report
from trunkline import (
    CallError,
    CircuitOpen,
    EnhancedMCPClient,
    HealthPolicy,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
    ToolPolicy,
)
from trunkline.testing import faults, faulty_http, faulty_stdio
from trunkline.testing.journal import read

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

IS_DRILL = "STORM_SECONDS" in os.environ
SECONDS = float(os.environ.get("STORM_SECONDS", "2"))
CALLERS = 100
DEADLINE = 1.0
PACE = 1.0
"""Seconds between two calls of one caller: what is measured is the server's trouble, not a busy loop of ours."""


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))]


@pytest.mark.requirement("R5")
async def test_a_server_that_hangs_costs_its_own_callers_their_deadline_and_others_nothing(report: Report) -> None:
    others: dict[str, list[list[float]]] = {"before": [], "during": []}
    late: list[float] = []
    refused: list[float] = []
    is_hanging = False
    probes = HealthPolicy(interval=2.0, timeout=1.0, restart_after=0)
    async with faulty_http() as hanging, faulty_http() as well:
        policy = ServerPolicy(
            trust_annotations=True, attempt_timeout=DEADLINE, retry=RetryPolicy(attempts=1), health=probes
        )
        servers = [
            ServerSettings(name, server.endpoint, policy) for name, server in (("hung", hanging), ("well", well))
        ]
        async with EnhancedMCPClient(servers) as client:

            async def call_hung(number: int) -> None:
                await anyio.sleep(PACE * number / CALLERS)
                while not is_over:
                    began = time.perf_counter()
                    try:
                        await client.call_tool("hung_echo", {"text": "x"}, timeout=DEADLINE)
                    except CircuitOpen:
                        refused.append(time.perf_counter() - began)
                    except CallError:
                        late.append(time.perf_counter() - began)
                    await anyio.sleep(PACE)

            async def measure(phase: str) -> None:
                for _ in range(max(2, int(SECONDS / 4))):
                    durations = []
                    end = anyio.current_time() + 1.0
                    while anyio.current_time() < end:
                        began = time.perf_counter()
                        await client.call_tool("well_echo", {"text": "x"})
                        durations.append(time.perf_counter() - began)
                        await anyio.sleep(0.005)
                    others[phase].append(durations)

            is_over = False
            async with anyio.create_task_group() as tasks:
                for number in range(CALLERS):
                    tasks.start_soon(call_hung, number)
                await anyio.sleep(PACE)
                await measure("before")
                late.clear()
                refused.clear()
                hanging.stop()
                is_hanging = True
                await anyio.sleep(DEADLINE)
                await measure("during")
                is_over = True
            hanging.cont()
    before, during = (statistics.median(p99(round_) for round_ in others[phase]) for phase in ("before", "during"))
    figures = (
        f"others' p99 {during / before:.2f} times ({before * 1000:.1f} to {during * 1000:.1f} ms); own callers: "
        f"{len(late)} after at most {max(late):.3f} s of {DEADLINE:g} s, {len(refused)} refused in "
        f"{p99(refused) * 1000:.2f} ms (p99)"
    )
    report("R5", "SIGSTOP, http", figures)
    assert is_hanging
    assert late
    # Whoever was under way when it froze, and now and then one that finds out whether it is back.
    assert len(late) <= 1.1 * CALLERS + SECONDS, "once the circuit is open nobody waits"
    assert refused
    assert max(late) <= DEADLINE + (0.05 if IS_DRILL else 1.0)
    if IS_DRILL:
        assert during <= 1.1 * before
        assert p99(refused) <= 0.005


async def storm_of_failures(client: EnhancedMCPClient, arguments: dict[str, object]) -> int:
    """64 callers whose every call fails, for a while; how many calls they made."""
    calls = 0
    end = anyio.current_time() + SECONDS

    async def caller(number: int) -> None:
        nonlocal calls
        await anyio.sleep(0.5 * number / 64)
        while anyio.current_time() < end:
            calls += 1
            with pytest.raises(CallError):
                await client.call_tool("s_fault", arguments, timeout=2.0)
            await anyio.sleep(0.5)

    async with anyio.create_task_group() as tasks:
        for number in range(64):
            tasks.start_soon(caller, number)
    return calls


@pytest.mark.requirement("R8")
@pytest.mark.parametrize("kind", ["503", "reset", "hang", "inside", "crash"])
async def test_a_server_that_fails_every_call_is_sent_hardly_more_attempts_than_there_are_calls(
    kind: str, tmp_path: Path, report: Report
) -> None:
    given = {
        "503": faults.status(code=503),
        "reset": faults.reset(),
        "hang": faults.hang(),
        "inside": faults.rpc_error(code=-32603),
        "crash": faults.crash_before(),
    }[kind]
    repeatable = {"s_fault": ToolPolicy(idempotent=True)}
    policy = ServerPolicy(attempt_timeout=0.5)
    journal = tmp_path / "journal"
    if kind == "crash":
        settings = ServerSettings("s", faulty_stdio(journal=journal), policy)
        async with EnhancedMCPClient([settings], tools=repeatable) as client:
            calls = await storm_of_failures(client, dict(given))
    else:
        async with faulty_http(journal=journal) as server:
            settings = ServerSettings("s", server.endpoint, policy)
            async with EnhancedMCPClient([settings], tools=repeatable) as client:
                calls = await storm_of_failures(client, dict(given))
    attempts = sum(entry.phase == "before" for entry in read(journal))
    where = f"{'stdio' if kind == 'crash' else 'http'}, {kind}"
    report("R8", where, f"{calls} calls, {attempts} attempts: {attempts / calls:.2f} each")
    assert calls > 64
    assert 0 < attempts <= 1.25 * calls
