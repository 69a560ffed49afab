"""P3: a whole cache hit, as the caller pays for it, beside the caches of other MCP libraries; then one from a Redis.

    python benchmarks/cache_peers.py [--calls 300] [--rounds 15] [--json FILE] [--quick]

The same 1 KB text from a server in this process, asked for with the same arguments again and again. Rounds are
interleaved, so that a busy machine slows all alike: read the ratios. Hits in memory are timed by what they take of the
processor, hits from Redis by the clock. Peers, each in its best configuration:

- `mcp` SDK: `Client.read_resource` with its own cache, in a server that says `ttlMs`. It does not cache tools.
- FastMCP: `ResponseCachingMiddleware` over its memory store. Its cache stands in the server, so a caller pays for its
  client and the protocol as well; the row without a client calls the server object itself, as nobody's client would.
- redis-py: GET over its pool and parsing what came, as one writes a shared cache by hand; beside a hit of ours that has
  left memory and is still in Redis.

FastMCP is not among our development tools: `make peers` makes an environment with it, which `make bench` uses.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from mcp import Client
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult

from trunkline import EnhancedMCPClient, InProcessEndpoint, ServerSettings, ToolPolicy
from trunkline.policy import CachePolicy, HealthPolicy, ServerPolicy

TEXT = "".join(f"{number:07d} " for number in range(128))
"""1 KB."""
GOAL = 25e-6
"""Seconds of a whole hit of ours."""

OneCall = Callable[[], Awaitable[object]]


def missing(module: str) -> bool:
    """Whether a peer is not installed; says so where it is missed."""
    try:
        import_module(module)
    except ImportError:
        print(f"*** NOT MEASURED: {module} is not installed here (make peers) ***")
        return True
    return False


def answering_server() -> MCPServer:
    """A tool and a resource that say the same."""
    server = MCPServer("bench", log_level="ERROR", cache_hints={"resources/read": CacheHint(ttl_ms=3_600_000)})

    @server.tool()
    async def read(n: int) -> str:
        return TEXT

    @server.resource("bench://text")
    async def text() -> str:
        return TEXT

    return server


async def ours(stack: AsyncExitStack) -> dict[str, OneCall]:
    """Our client: a copy for each caller, and one for all."""
    settings = ServerSettings(
        "s", InProcessEndpoint(answering_server()), ServerPolicy(health=HealthPolicy(enabled=False))
    )
    kept = {"ttl": 3600.0, "stale": 0.0}
    calls: dict[str, OneCall] = {}
    for name, copy in (("ours", "isolated"), ("ours, shared copy", "shared")):
        policy = ToolPolicy(cache=CachePolicy(**kept, copy=copy))  # type: ignore[arg-type] # literals by name
        client = await stack.enter_async_context(EnhancedMCPClient([settings], tools={"s_read": policy}))
        first = await client.call_tool("s_read", {"n": 1})
        again = await client.call_tool("s_read", {"n": 1})
        assert (first.provenance.cache, again.provenance.cache) == ("miss", "hit")

        async def call(client: EnhancedMCPClient = client) -> object:
            return await client.call_tool("s_read", {"n": 1})

        calls[name] = call
    return calls


async def sdk(stack: AsyncExitStack) -> dict[str, OneCall]:
    """The SDK's client with its cache."""
    client = await stack.enter_async_context(Client(answering_server()))
    return {"mcp SDK, a resource": lambda: client.read_resource("bench://text")}


async def fastmcp(stack: AsyncExitStack) -> dict[str, OneCall]:
    """FastMCP's middleware, with and without its client in front."""
    library: Any = import_module("fastmcp")
    caching: Any = import_module("fastmcp.server.middleware.caching")
    memory: Any = import_module("key_value.aio.stores.memory")
    server = library.FastMCP("bench")
    ran = 0

    @server.tool  # type: ignore[untyped-decorator] # what is imported by name has no types
    async def read(n: int) -> str:
        nonlocal ran
        ran += 1
        return TEXT

    server.add_middleware(caching.ResponseCachingMiddleware(cache_storage=memory.MemoryStore()))
    client = await stack.enter_async_context(library.Client(server))
    for _ in range(2):
        await client.call_tool("read", {"n": 1})
        await server.call_tool("read", {"n": 2})
    assert ran == 2, f"not cached: the tool ran {ran} times for two different calls"
    return {
        "FastMCP, client and server": lambda: client.call_tool("read", {"n": 1}),
        "FastMCP, no client": lambda: server.call_tool("read", {"n": 2}),
    }


async def seconds_per_call(call: OneCall, calls: int) -> float:
    """Mean seconds of the processor for some calls one after the other: a hit in memory waits for nothing."""
    started = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - started) / calls


async def compare(candidates: dict[str, OneCall], *, calls: int, rounds: int) -> dict[str, dict[str, float]]:
    """Take turns, and print each beside the first."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        await seconds_per_call(call, calls // 4 + 1)
    for number in range(rounds):
        order = list(candidates) if number % 2 == 0 else list(reversed(candidates))
        for name in order:
            taken[name].append(await seconds_per_call(candidates[name], calls))
    return tabulated(taken)


def tabulated(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Print each beside the first, and say where we lose."""
    first, told = next(iter(taken)), {}
    print(f"{'':<28}{'median':>10}{'quartiles':>20}{'beside the first':>26}")
    for name, values in taken.items():
        ratios = [value / base for value, base in zip(values, taken[first], strict=True)]
        low, _, high = quantiles(values, n=4)
        least, _, most = quantiles(ratios, n=4)
        spread = f"[{1e6 * low:.1f} .. {1e6 * high:.1f}]"
        beside = f"{median(ratios):.2f}x [{least:.2f} .. {most:.2f}]"
        print(f"{name:<28}{1e6 * median(values):>7.1f} us{spread:>20}{beside:>26}")
        told[name] = {"median": median(values), "low": low, "high": high, "ratio": median(ratios)}
    for name, figures in told.items():
        if figures["ratio"] < 0.95 and not name.startswith("ours"):
            print(f"WE LOSE to {name}: {figures['ratio']:.2f}x")
    return told


KEYS = 256
"""Answers in Redis; each is asked for once in a round."""
WIDTHS = (1, 64)
"""Callers at once."""


async def from_redis(rounds: int) -> dict[str, dict[str, float]]:
    """Hits that memory has not: ours, and what one writes by hand over redis-py's pool."""
    # Local, because redis-py is an extra and its servers stand with the tests.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    library: Any = import_module("redis.asyncio")
    servers: Any = import_module("tests.servers.redis_servers")
    sharing: Any = import_module("tests.servers.sharing")
    told: dict[str, dict[str, float]] = {}
    async with servers.redis_server() as server, AsyncExitStack() as stack:
        endpoint = InProcessEndpoint(answering_server())
        policies = {"read": CachePolicy(ttl=3600.0)}
        client = await stack.enter_async_context(sharing.SharingClient(server.url, endpoint, policies))
        await client.in_touch()
        by_hand = library.Redis.from_url(server.url)
        stack.push_async_callback(by_hand.aclose)
        for number in range(KEYS):
            result = await client.call_tool("s_read", {"n": number})
            await by_hand.set(_key(number), result.model_dump_json(by_alias=True, exclude_none=True))
        await client.settled()

        async def ours(number: int) -> object:
            found = await client.call_tool("s_read", {"n": number})
            assert found.provenance.cache == "hit", found.provenance
            return found

        async def theirs(number: int) -> object:
            return CallToolResult.model_validate_json(await by_hand.get(_key(number)))

        for width in WIDTHS:
            taken: dict[str, list[float]] = {f"ours from Redis, {width} at once": [], f"redis-py, {width} at once": []}
            for _ in range(rounds + 1):
                for name, call in zip(taken, (ours, theirs), strict=True):
                    client.cache.tiers.memory.clear()
                    taken[name].append(await seconds_together(call, width))
            told |= tabulated({name: values[1:] for name, values in taken.items()})
    return told


async def seconds_together(call: Callable[[int], Awaitable[object]], width: int) -> float:
    """Seconds for each of all keys, by so many callers."""

    async def some(first: int) -> None:
        for number in range(first, KEYS, width):
            await call(number)

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for first in range(width):
            tasks.start_soon(some, first)
    return (time.perf_counter() - started) / KEYS


def _key(number: int) -> str:
    """As most people write it."""
    return hashlib.sha256(json.dumps(["s", "read", {"n": number}], sort_keys=True).encode()).hexdigest()


async def main(calls: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Memory, then Redis."""
    print(f"{rounds} interleaved rounds of {calls} calls on {sys.version.split()[0]}")
    async with AsyncExitStack() as stack:
        candidates = await ours(stack) | await sdk(stack)
        if not missing("fastmcp"):
            candidates |= await fastmcp(stack)
        told = {"memory": await compare(candidates, calls=calls, rounds=rounds)}
    if not missing("redis"):
        told["redis"] = await from_redis(rounds)
    median_hit = told["memory"]["ours"]["median"]
    print(f"a whole hit of ours: {1e6 * median_hit:.1f} us   goal {1e6 * GOAL:.0f} us: ", end="")
    print("kept" if median_hit <= GOAL else "MISSED")
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A whole cache hit beside the caches of other libraries.")
    parser.add_argument("--calls", type=int, default=300, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a few calls: shows that it works, and little else")
    options = parser.parse_args()
    found = anyio.run(main, *((10, 4) if options.quick else (options.calls, options.rounds)))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
