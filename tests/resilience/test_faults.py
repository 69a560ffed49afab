"""R4 under load: calls that ask for a fault, one after the other, among calls that did nothing wrong."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, suppress
from typing import Literal

import anyio
import pytest

from tests.resilience.conftest import Report
from trunkline import BulkheadPolicy, CallError, EnhancedMCPClient, ServerPolicy, ServerSettings
from trunkline.endpoint import Endpoint
from trunkline.policy import Era
from trunkline.testing import faults, faulty_http, faulty_stdio

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("STORM_SECONDS", "1.5"))
INNOCENTS = 32
SILENCE = 0.3
"""Seconds the guilty call is given, where its answer never comes."""

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
    faults.reset(),
    faults.html(),
    faults.accepted(),
    faults.sse_cut(),
    faults.sse_cut(abrupt=True),
)


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_no_innocent_call_is_harmed_by_any_number_of_bad_answers(
    transport: Literal["stdio", "http"], era: Era, report: Report
) -> None:
    served, failed, guilty = 0, list[CallError](), 0
    async with AsyncExitStack() as stack:
        endpoint: Endpoint = faulty_stdio(era=era)
        kinds: tuple[faults.Fault, ...] = ANYWHERE
        if transport == "http":
            server = await stack.enter_async_context(faulty_http(era=era))
            endpoint, kinds = server.endpoint, (*ANYWHERE, *OVER_HTTP)
        # Innocence is shown without the help of retries, and room for all is not what is in question.
        policy = ServerPolicy(era=era, bulkhead=BulkheadPolicy(limit=2 * INNOCENTS))
        client = await stack.enter_async_context(EnhancedMCPClient([ServerSettings("s", endpoint, policy)]))
        end, is_over = anyio.current_time() + SECONDS, False

        async def innocent(number: int) -> None:
            nonlocal served
            while not is_over:
                try:
                    result = await client.call_tool("s_append", {"op": str(number), "delay_ms": 5})
                except CallError as error:
                    failed.append(error)
                else:
                    assert result.content[0].text == str(number)  # type: ignore[union-attr]
                    served += 1

        async def cause_trouble() -> None:
            nonlocal guilty, is_over
            while anyio.current_time() < end or guilty < len(kinds):
                with suppress(CallError):  # how each ends is told by tests/integration/test_faults.py
                    await client.call_tool("s_fault", dict(kinds[guilty % len(kinds)]), SILENCE)
                guilty += 1
                await anyio.sleep(0.02)
            is_over = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cause_trouble)
            for number in range(INNOCENTS):
                tasks.start_soon(innocent, number)
    report(
        "R4",
        f"{transport} {era}",
        f"{guilty} bad answers of {len(kinds)} kinds, {served} innocent calls, {len(failed)} harmed",
    )
    assert [str(error) for error in failed] == []
    assert served > INNOCENTS
