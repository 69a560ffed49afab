"""R4 under load: calls that ask for a fault, one after the other, among calls that did nothing wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import anyio
import pytest

from tests.resilience.conftest import Report
from tests.servers.watching import eventually
from trunkline import BulkheadPolicy, CallError, EnhancedMCPClient, ServerPolicy, ServerSettings
from trunkline.endpoint import Endpoint
from trunkline.policy import Era
from trunkline.testing import faults, faulty_http, faulty_stdio

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("STORM_SECONDS", "1.5"))
INNOCENTS = 16
SILENCE = 0.6
"""Seconds the guilty call is given, where its answer never comes: enough for its turn among all that are under way."""

NEVER_SENT = {"InvalidArguments", "ToolNotFound", "CircuitOpen", "BulkheadFull", "ServerUnavailable"}

ANYWHERE = (
    faults.garbage(),
    faults.garbage(invalid="utf8"),
    faults.cut(),
    faults.wrong_id(),
    faults.not_a_result(),
    faults.double(),
    faults.big(),
    faults.hang(),
    faults.rpc_error(),
    faults.slow_drip(),
    faults.stderr_flood(),
    faults.hog(megabytes=1),
)
OVER_HTTP = (
    faults.status(code=503),
    faults.status(code=429, retry_after="0"),
    faults.rpc_body(),
    faults.reset(),
    faults.html(),
    faults.accepted(),
    faults.sse_cut(),
    faults.sse_cut(abrupt=True),
)


@asynccontextmanager
async def serving(transport: str, era: Era) -> AsyncIterator[tuple[Endpoint, tuple[faults.Fault, ...]]]:
    """A server and what can go wrong with it."""
    if transport == "stdio":
        yield faulty_stdio(era=era), ANYWHERE
        return
    async with faulty_http(era=era) as server:
        yield server.endpoint, (*ANYWHERE, *OVER_HTTP)


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_no_innocent_call_is_harmed_by_any_number_of_bad_answers(
    transport: Literal["stdio", "http"], era: Era, report: Report
) -> None:
    served, failed, guilty, slowest, outcomes = 0, list[CallError](), 0, 0.0, Counter[str]()
    # Innocence is shown without the help of retries, and room for all is not what is in question.
    policy = ServerPolicy(era=era, bulkhead=BulkheadPolicy(limit=2 * INNOCENTS))
    async with (
        serving(transport, era) as (endpoint, kinds),
        EnhancedMCPClient([ServerSettings("s", endpoint, policy)]) as client,
    ):
        end, is_over = anyio.current_time() + SECONDS, False

        async def innocent(number: int) -> None:
            nonlocal served, slowest
            while not is_over:
                began = anyio.current_time()
                try:
                    result = await client.call_tool("s_append", {"op": str(number), "delay_ms": 5})
                except CallError as error:
                    failed.append(error)
                    await anyio.sleep(0.05)  # or refusals, which take no time, would keep everybody else from running
                else:
                    assert result.content[0].text == str(number)  # type: ignore[union-attr]
                    served += 1
                    slowest = max(slowest, anyio.current_time() - began)

        async def cause_trouble() -> None:
            nonlocal guilty, is_over
            while anyio.current_time() < end or guilty < len(kinds):
                try:  # how each ends is told by tests/integration/test_faults.py
                    await client.call_tool("s_fault", dict(kinds[guilty % len(kinds)]), SILENCE)
                except CallError as error:
                    outcomes[error.code] += 1
                guilty += 1
                # One bad answer among many good ones: byte by byte on the only pipe there is, it holds up all others,
                # and five failures in a row without one answer between are a server that fails.
                await eventually(more_are_served(served + INNOCENTS // 4))
            is_over = True

        def more_are_served(enough: int) -> Callable[[], bool]:
            return lambda: served >= enough or bool(failed)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cause_trouble)
            for number in range(INNOCENTS):
                tasks.start_soon(innocent, number)
    report(
        "R4",
        f"{transport} {era}",
        f"{guilty} bad answers of {len(kinds)} kinds, {served} innocent calls, {len(failed)} harmed, the slowest took "
        f"{slowest:.2f} s",
    )
    assert [str(error) for error in failed] == []
    assert served > INNOCENTS
    # Over HTTP, whoever waits for another one's trouble to pass is harmed too; the machine may be busy for a moment.
    assert slowest <= 5.0 or transport == "stdio"
    assert not outcomes.keys() & NEVER_SENT, "bad answers that nobody asked the server for prove nothing"
    assert len(outcomes) >= 3, outcomes
