"""The tail: one of three replicas is twenty times slower than the others, and hedging keeps the slowest calls fast."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from math import ceil

import anyio
import pytest

from tests.resilience.conftest import Report
from tests.resilience.test_replicas import Tail
from trunkline import EnhancedMCPClient, HedgePolicy, HttpEndpoint, ServerPolicy, ServerSettings
from trunkline.testing import FaultProxy, faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

IS_DRILL = "STORM_SECONDS" in os.environ
SECONDS = float(os.environ.get("STORM_SECONDS", "3"))
SERVICE = 0.025
"""Seconds a healthy replica takes, held back on the way: it does not depend on how busy this machine is."""
CALLERS = 4


async def measured(client: EnhancedMCPClient, tail: Tail) -> Tail:
    """What calls come to for a while, once latencies have been learnt."""

    async def caller(end: float) -> None:
        while anyio.current_time() < end:
            await client.call_tool("s_lookup", {"op": "x"})
            await anyio.sleep(0.01)

    for seconds in (SECONDS / 2 + 1.0, SECONDS):
        tail.reset()
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(caller, anyio.current_time() + seconds)
    return tail


@pytest.mark.requirement("HEDGE-TAIL")
async def test_one_slow_replica_of_three_does_not_make_the_slowest_calls_slow(report: Report) -> None:
    found: dict[str, Tail] = {}
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(faulty_http()) for _ in range(3)]
        proxies = [await stack.enter_async_context(FaultProxy("127.0.0.1", server.port)) for server in servers]
        for name, slowness, hedge in (("healthy", 1, True), ("hedged", 20, True), ("alone", 20, False)):
            for proxy in proxies:
                proxy.latency = SERVICE / 2
            proxies[0].latency *= slowness
            first, *others = (HttpEndpoint(proxy.url) for proxy in proxies)
            policy = ServerPolicy(trust_annotations=True, hedge=HedgePolicy(enabled=hedge, delay=2.4 * SERVICE))
            settings = ServerSettings("s", first, policy, tuple(others))
            tail = Tail()
            async with EnhancedMCPClient([settings], observers=[tail.observe]) as client:
                found[name] = await measured(client, tail)
        async with EnhancedMCPClient({"s": HttpEndpoint(proxies[0].url)}) as client:
            began = anyio.current_time()
            await client.call_tool("s_lookup", {"op": "x"})
            at_the_slow_one = anyio.current_time() - began
    healthy, hedged, alone = found["healthy"], found["hedged"], found["alone"]
    figures = (
        f"p99 {hedged.p99 / healthy.p99:.2f} times the healthy one's ({healthy.p99 * 1000:.0f} to "
        f"{hedged.p99 * 1000:.0f} ms; {alone.p99 * 1000:.0f} ms unhedged), {hedged.extra:+.1%} attempts"
    )
    report("HEDGE-TAIL", "1 of 3 20x slower", figures)
    # Of this short run alone, whatever was saved up before it. One more call may earn one whole attempt.
    assert hedged.attempts - hedged.calls <= ceil(0.05 * hedged.calls)
    assert len(hedged.durations) > 50
    if IS_DRILL:
        assert hedged.p99 <= 2 * healthy.p99
        # Balancing keeps most calls away from it, with or without hedging; whoever is sent there has to wait.
        assert at_the_slow_one > 2 * healthy.p99, "the slow replica is not slow: that proves nothing"
