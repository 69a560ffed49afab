"""Ten minutes without a tool server, on the reference agent workload: what callers see of it, with and without us.

Virtual time, the real client and stack, a real SDK server in this process. The workload is that of
`benchmarks/hit_ratio.py`; an hour of it comes before, as a cache cannot know what nobody has asked for yet.
"""

from __future__ import annotations

import os
import random
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from benchmarks.hit_ratio import ORIGIN, Fetch, PlainTtl, Tally, workload
from tests.resilience.conftest import Report
from trunkline import CallError, EnhancedMCPClient, HealthPolicy, ServerPolicy, ServerSettings, ToolPolicy
from trunkline.policy import CachePolicy
from trunkline.testing.scripted_server import ScriptedServer, hang, slow

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

SCALE = 1.0 if "STORM_SECONDS" in os.environ else 0.08
"""The short form has a twelfth of the keys, asked for as often as in the drill."""

BEFORE, OUTAGE, AFTER = 3600.0, 600.0, 300.0
TTL, STALE, KEPT = 60.0, 60.0, 3600.0
POLICY = CachePolicy(ttl=TTL, stale=STALE, stale_if_error=KEPT)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Virtual time."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Origin:
    """What the plain cache asks: half a second for an answer, and none during the outage."""

    def __init__(self) -> None:
        self._started = anyio.current_time()

    async def __call__(self, number: int) -> int:
        await anyio.sleep(ORIGIN)
        if self.is_away:
            raise ConnectionRefusedError
        return number

    @property
    def is_away(self) -> bool:
        return BEFORE <= anyio.current_time() - self._started < BEFORE + OUTAGE


async def run(fetch: Fetch) -> tuple[Tally, Tally]:
    """The whole workload, and the part of it that began during the outage."""
    started, during = anyio.current_time(), Tally()

    async def told(number: int) -> str:
        is_during = BEFORE <= anyio.current_time() - started < BEFORE + OUTAGE
        try:
            outcome = await fetch(number)
        except (CallError, ConnectionError):
            outcome = "error"
        if is_during:
            during.calls += 1
            during.outcomes[outcome] += 1
        return outcome

    return await workload(told, seconds=BEFORE + OUTAGE + AFTER, seed=1, scale=SCALE), during


def errors(tally: Tally) -> float:
    """Their share of the calls."""
    return tally.outcomes["error"] / tally.calls


@pytest.mark.requirement("STALE-IF-ERROR")
@pytest.mark.parametrize("kind", ["gone", "hanging"])
async def test_ten_minutes_without_the_server_cost_a_thousandth_of_the_calls_at_most(kind: str, report: Report) -> None:
    server = ScriptedServer()
    server.otherwise = slow(ORIGIN)
    settings = ServerSettings("s", server.endpoint, ServerPolicy(health=HealthPolicy(enabled=False), era="2025-11-25"))

    async def outage() -> None:
        await anyio.sleep(BEFORE)
        if kind == "gone":
            server.is_down = True
            server.end_connection()
        else:
            server.otherwise = hang
        await anyio.sleep(OUTAGE)
        server.is_down, server.otherwise = False, slow(ORIGIN)

    async with EnhancedMCPClient(
        [settings], tools={"s_read": ToolPolicy(cache=POLICY)}, rng=random.Random(7)
    ) as client:

        async def ours(number: int) -> str:
            result = await client.call_tool("s_read", {"n": number})
            return "degraded" if result.provenance.degraded else result.provenance.cache

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outage)
            whole, during = await run(ours)
    plain_whole, plain_during = await run(PlainTtl(TTL, Origin()).fetch)
    report(
        "STALE-IF-ERROR",
        f"origin {kind}",
        f"{errors(whole):.3%} of {whole.calls:,} calls failed, {errors(during):.2%} of those in the ten minutes; "
        f"plain cache {errors(plain_whole):.1%} and {errors(plain_during):.1%}",
    )
    assert errors(whole) <= 0.001
    assert during.outcomes["degraded"] > 0
    assert errors(plain_during) > 0.5
