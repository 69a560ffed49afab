"""P3: what an answer from memory costs: the whole call, and the store alone, beside the cache of the SDK's own client.

    python benchmarks/cache_hits.py [--calls 2000] [--rounds 15] [--quick]

One answer of about a kilobyte, asked for again and again. The variants take turns in rounds, so that a change of the
machine's speed hits all. Quoted are medians over rounds, with their quartiles, of processor time: nothing waits here,
and what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median, quantiles
from typing import cast

import anyio
import mcp_types as types
from mcp.client.caching import ClientResponseCache, InMemoryResponseCacheStore
from mcp.server.mcpserver import MCPServer

from trunkline import CachePolicy, EnhancedMCPClient, InProcessEndpoint, MetricsCollector, ToolPolicy, ToolResult, clock
from trunkline.cache.question import Question, question_of
from trunkline.caching import Caching

ARGUMENTS = {"query": "trunk lines", "limit": 10, "language": "en"}
TEXT = "All calls of a town went through the trunk lines, whoever made them and wherever they were led. " * 10

Measured = Callable[[], Awaitable[object]]


def server() -> MCPServer:
    """Two tools that answer with about a kilobyte."""
    made = MCPServer("bench", log_level="ERROR")

    @made.tool(structured_output=False)
    async def isolated(query: str, limit: int, language: str) -> str:
        return TEXT

    @made.tool(structured_output=False)
    async def shared(query: str, limit: int, language: str) -> str:
        return TEXT

    return made


def looking_up(client: EnhancedMCPClient, tool: str) -> Callable[[], object]:
    """The store alone: plan, key, freshness, tags, and the answer as an object."""
    call = client._caller.new_call("tools/call", tool, dict(ARGUMENTS))  # noqa: SLF001 - the call as the client makes it
    caching = cast("Caching", client.fleet.caching)

    def look_up() -> object:
        plan = caching.plan(call)
        question = question_of(client.cache, plan, plan.policy, call)  # type: ignore[union-attr,arg-type]
        if not isinstance(question, Question):
            raise TypeError(question)
        held = question.held(clock.now())
        return question.read(held)  # type: ignore[arg-type]

    return look_up


async def sdk_cache() -> Measured:
    """A read of the SDK's own cache: a fresh entry in its memory store, with a resource of the same text."""
    cache = ClientResponseCache(
        store=InMemoryResponseCacheStore(),
        partition="",
        arm_id="bench",
        default_ttl_ms=0,
        clock=time.time,
        share_public=False,
        negotiated_version=lambda: "2026-07-28",
    )
    content = types.TextResourceContents(uri="bench://text", text=TEXT)
    result = types.ReadResourceResult(contents=[content], ttl_ms=86_400_000)
    generation = cache.capture("resources/read", "bench://text")
    await cache.write("resources/read", "bench://text", result, generation, "use")
    return lambda: cache.read("resources/read", "bench://text")


async def per_call(call: Measured, calls: int) -> float:
    """Microseconds per call, one after the other."""
    started = time.process_time()
    for _ in range(calls):
        await call()
    return 1e6 * (time.process_time() - started) / calls


async def per_look(look: Callable[[], object], calls: int) -> float:
    """The same for what is no coroutine."""
    started = time.process_time()
    for _ in range(calls):
        look()
    return 1e6 * (time.process_time() - started) / calls


async def main(calls: int, rounds: int) -> None:
    """Measure and print."""
    policies = {
        "bench_isolated": ToolPolicy(cache=CachePolicy(ttl=86400.0)),
        "bench_shared": ToolPolicy(cache=CachePolicy(ttl=86400.0, copy="shared")),
    }
    metrics = MetricsCollector()
    async with EnhancedMCPClient({"bench": InProcessEndpoint(server())}, tools=policies) as client:
        metrics.watch(client.bus)
        for tool in policies:
            await client.call_tool(tool, ARGUMENTS)
            hit = await client.call_tool(tool, ARGUMENTS)
            if not isinstance(hit, ToolResult) or hit.provenance.cache != "hit":
                raise RuntimeError(hit)
        theirs = await sdk_cache()
        looks = {tool: looking_up(client, tool) for tool in policies}
        measured: dict[str, Callable[[], Awaitable[float]]] = {
            "whole call, isolated copy": lambda: per_call(lambda: client.call_tool("bench_isolated", ARGUMENTS), calls),
            "whole call, shared object": lambda: per_call(lambda: client.call_tool("bench_shared", ARGUMENTS), calls),
            "store alone, isolated copy": lambda: per_look(looks["bench_isolated"], calls),
            "store alone, shared object": lambda: per_look(looks["bench_shared"], calls),
            "SDK's ClientResponseCache.read": lambda: per_call(theirs, calls),
        }
        figures: dict[str, list[float]] = {name: [] for name in measured}
        for warm_up in measured.values():
            await warm_up()
        for number in range(rounds):
            for name in sorted(measured, reverse=number % 2 == 1):
                figures[name].append(await measured[name]())
    print(f"Python {sys.version.split()[0]}, {rounds} interleaved rounds of {calls}; medians, quartiles in brackets")
    for name, taken in figures.items():
        low, _, high = quantiles(taken, n=4)
        print(f"{name:<32} {median(taken):7.1f} us  [{low:.1f} .. {high:.1f}]")
    ratio = median(
        theirs / ours
        for theirs, ours in zip(
            figures["SDK's ClientResponseCache.read"], figures["store alone, isolated copy"], strict=True
        )
    )
    print(f"the SDK's read takes {ratio:.1f} times as long as the store alone, both with a copy for the caller")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What an answer from the cache costs.")
    parser.add_argument("--calls", type=int, default=2000, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each")
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds = 50, 3
    anyio.run(main, options.calls, options.rounds)
