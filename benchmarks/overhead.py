"""P1: what the whole stack adds to a tool call, beside the raw SDK client on the same server.

    python benchmarks/overhead.py [--calls 200] [--rounds 15]

Raw and stacked calls alternate in rounds, so that a change of the machine's speed hits both. Quoted are medians over
rounds and, for the difference and the ratio, the medians of the per-round figures with their quartiles.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles

import anyio
from mcp import Client, StdioServerParameters
from mcp.server.mcpserver import MCPServer
from mcp_types import Result

from trunkline import EnhancedMCPClient, InProcessEndpoint, MetricsCollector, StdioEndpoint, ToolResult
from trunkline.bus import EventBus
from trunkline.call import Call
from trunkline.client_stack import client_stack
from trunkline.endpoint import Endpoint, HttpEndpoint, ServerSettings
from trunkline.monitoring.logging import LogObserver
from trunkline.pool.pool import Pool
from trunkline.registry.schema import compile_schema
from trunkline.server_stack import ServerStack

STDIO_SERVER = Path(__file__).parents[1] / "src" / "trunkline" / "testing" / "faulty_stdio.py"
ARGUMENTS = {"text": "hello"}

OneCall = Callable[[], Awaitable[object]]


def echo_server() -> MCPServer:
    """The smallest server there is."""
    server = MCPServer("bench", log_level="ERROR")

    @server.tool()
    async def echo(text: str) -> str:
        return text

    return server


async def seconds_per_call(call: OneCall, calls: int) -> float:
    """Mean seconds of some calls one after the other."""
    started = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - started) / calls


async def compare(name: str, raw: OneCall, stacked: OneCall, *, calls: int, rounds: int) -> None:
    """Alternate the two and print what the second adds."""
    for call in (raw, stacked):
        await seconds_per_call(call, calls // 4 + 1)
    pairs = []
    for number in range(rounds):
        order = (raw, stacked) if number % 2 == 0 else (stacked, raw)
        figures = [await seconds_per_call(call, calls) for call in order]
        pairs.append((figures[0], figures[1]) if number % 2 == 0 else (figures[1], figures[0]))
    added = [1e6 * (ours - theirs) for theirs, ours in pairs]
    ratios = [ours / theirs for theirs, ours in pairs]
    low, _, high = quantiles(added, n=4)
    least, _, most = quantiles(ratios, n=4)
    print(
        f"{name:<12} raw {1e6 * median(theirs for theirs, _ in pairs):8.1f} us   "
        f"stacked {1e6 * median(ours for _, ours in pairs):8.1f} us   "
        f"added {median(added):+7.1f} us [{low:+.1f} .. {high:+.1f}]   "
        f"ratio {median(ratios):.2f} [{least:.2f} .. {most:.2f}]"
    )


async def against(name: str, raw_target: object, endpoint: Endpoint, *, calls: int, rounds: int) -> None:
    """Compare on one server, reached in the same way by both."""
    metrics = MetricsCollector()
    async with (
        Client(raw_target) as raw,  # type: ignore[arg-type] # anything the SDK's client takes
        EnhancedMCPClient({"bench": endpoint}) as stacked,
    ):
        metrics.watch(stacked.bus)
        await raw.list_tools()
        await compare(
            name,
            lambda: raw.call_tool("echo", ARGUMENTS),
            lambda: stacked.call_tool("bench_echo", ARGUMENTS),
            calls=calls,
            rounds=rounds,
        )


class InstantPool(Pool):
    """A pool whose server answers at once: what is left is the cost of the layers, events and metrics alone."""

    async def send(self, call: Call) -> Result:
        """Answer without a server."""
        return ToolResult(content=[])


async def around_nothing(*, calls: int, rounds: int) -> None:
    """The stack by itself, beside a coroutine that does nothing."""
    bus, metrics, rng = EventBus([LogObserver()]), MetricsCollector(), random.Random(1)
    metrics.watch(bus)
    settings = ServerSettings("bench", HttpEndpoint("http://127.0.0.1/"))
    server = ServerStack(
        settings, emit=bus.emit, rng=rng, on_listing=lambda _replica, _tools: None, make_pool=InstantPool
    )
    stack = client_stack(server.send, ladder=lambda _call: (), emit=bus.emit)
    problems = compile_schema(
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    ).problems

    async def nothing() -> object:
        return None

    async def stacked() -> object:
        now = anyio.current_time()
        call = Call("id", "tools/call", "bench_echo", ARGUMENTS, "bench", now, now + 30, server="bench", target="echo")
        call.problems = problems
        return await stack(call)

    await compare("no server", nothing, stacked, calls=10 * calls, rounds=rounds)


async def main(calls: int, rounds: int) -> None:
    """Around nothing, in process, then over stdio."""
    print(f"{rounds} interleaved rounds of {calls} calls; medians, quartiles in brackets")
    await around_nothing(calls=calls, rounds=rounds)
    server = echo_server()
    await against("in process", server, InProcessEndpoint(server), calls=calls, rounds=rounds)
    command, args = sys.executable, [str(STDIO_SERVER), "--era", "2026-07-28"]
    await against(
        "stdio",
        StdioServerParameters(command=command, args=args),
        StdioEndpoint(command, tuple(args)),
        calls=calls,
        rounds=rounds,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the whole stack adds to a tool call.")
    parser.add_argument("--calls", type=int, default=200, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each")
    options = parser.parse_args()
    anyio.run(main, options.calls, options.rounds)
