"""P13: whether a call costs more, and a start takes longer, the more tools and servers are configured.

    python benchmarks/growth.py [--calls 200] [--rounds 15] [--quick]

Servers in this process, so that a call's cost is ours and the SDK's alone, by the processor's time. The sizes take
turns in rounds; quoted are medians, and the medians of each round's ratio to the smallest size, with quartiles. For
the start, each server takes half a second to say its first word, and the clock counts until the tools of all are known:
were they begun one after the other, fifty would take 25 seconds.
"""

from __future__ import annotations

import argparse
import gc
import time
from contextlib import AsyncExitStack
from statistics import median, quantiles
from typing import Any

import anyio

from trunkline import EnhancedMCPClient, ServerPolicy, ServerSettings
from trunkline.testing import ScriptedServer

GOAL = 1.1
"""Times the cost of the smallest size."""
SLOW = 0.5
"""Seconds until a server's first word."""
HANDSHAKE = ServerPolicy(era="2025-11-25")
"""In the other era a server in this process has no start of its own."""


class LateServer(ScriptedServer):
    """A server that takes its time to start."""

    async def run(self, *args: Any, **options: Any) -> None:
        """Serve one connection, after a while."""
        await anyio.sleep(SLOW)
        await super().run(*args, **options)


async def known(client: EnhancedMCPClient, tools: int) -> None:
    """Return once so many tools are listed."""
    with anyio.fail_after(60):
        while len((await client.list_tools()).tools) < tools:  # noqa: ASYNC110 - what is waited for is the listing
            await anyio.sleep(0.005)


async def microseconds(client: EnhancedMCPClient, tool: str, calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        await client.call_tool(tool)
    return 1e6 * (time.process_time() - started) / calls


async def calls_cost(calls: int, rounds: int) -> None:
    """A call, beside one of the only tool of the only server."""
    sizes = [(1, 1), (1, 10), (1, 100), (1, 1000), (10, 20), (50, 20)]
    async with AsyncExitStack() as stack:
        clients = []
        for servers, tools in sizes:
            names = [f"tool_{number}" for number in range(tools)]
            fleet = {f"s{number}": ScriptedServer(reads=names, writes=()).endpoint for number in range(servers)}
            client = await stack.enter_async_context(EnhancedMCPClient(fleet))
            await known(client, servers * tools)
            clients.append((client, f"s{servers - 1}_{names[-1]}"))
            await microseconds(client, clients[-1][1], calls // 4 + 1)
        taken: list[list[float]] = [[] for _ in sizes]
        gc.collect()
        for number in range(rounds):
            order = range(len(sizes)) if number % 2 else reversed(range(len(sizes)))
            for place in order:
                taken[place].append(await microseconds(*clients[place], calls))
    for (servers, tools), figures in zip(sizes, taken, strict=True):
        low, ratio, high = quantiles([own / least for own, least in zip(figures, taken[0], strict=True)], n=4)
        kept = "" if ratio <= GOAL else "  MISSED"
        print(
            f"call, {servers:>2} servers of {tools:>4} tools  {median(figures):7.0f} us  "
            f"{ratio:.2f} times [{low:.2f} .. {high:.2f}]  goal {GOAL}{kept}"
        )


async def start_takes(rounds: int) -> None:
    """All of some servers, each of them slow."""
    taken: dict[int, list[float]] = {1: [], 10: [], 50: []}
    for _ in range(rounds):
        for servers, figures in taken.items():
            fleet = [ServerSettings(f"s{number}", LateServer().endpoint, HANDSHAKE) for number in range(servers)]
            started = time.perf_counter()
            async with EnhancedMCPClient(fleet) as client:
                await known(client, 2 * servers)
                figures.append(time.perf_counter() - started)
    for servers, figures in taken.items():
        spread = f"[{min(figures):.2f} .. {max(figures):.2f}]"
        print(f"start, {servers:>2} servers of {SLOW} s each  {median(figures):6.2f} s {spread}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What calls and starts cost as tools and servers grow in number.")
    parser.add_argument("--calls", type=int, default=200, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each size")
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    options = parser.parse_args()
    anyio.run(calls_cost, *((10, 2) if options.quick else (options.calls, options.rounds)))
    anyio.run(start_takes, 1 if options.quick else 5)
