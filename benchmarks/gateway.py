"""P7 and P8: calls through the gateway beside calls that go straight to the server, and beside other gateways.

    python benchmarks/gateway.py [--calls 100] [--rounds 9] [--quick]

One server with one small tool, of the SDK, as a process, over HTTP and on stdio; the gateway, with nothing configured
but the two, as another: in front of stdio over HTTP, and as hosts start it, on stdio itself. The same client, the SDK's
own, goes all ways and keeps its sessions open; the ways take turns in rounds, so that a busy machine slows all alike:
read the ratios. First one call after the other, then 16 callers at once. Client, gateway and server share the machine's
cores: what the gateway computes, the others wait for.

`make peers` installs the others and `peers/gateways.py` starts them, all at once. One that is not there, does not
start, does not speak the era that it is asked in or fails a call is named and left out; one that dies meanwhile ends
the run with an error. `--quick` asks in the newer era alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script sees only its own folder

from benchmarks.peers.gateways import PEERS, Era, Kind, Peer, Upstream
from benchmarks.peers.starting import left_out, process, started
from trunkline.testing.processes import free_port

ARGUMENTS = {"text": "hello"}
CALLERS = 16
ERAS: dict[Era, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}
GOALS: dict[Kind, tuple[float, float]] = {"HTTP": (1.5, 0.6), "stdio": (2.5, 0.0)}
"""At most so many times the direct median, at least such a share of the direct rate."""
SERVERS: dict[Kind, str] = {"HTTP": "web", "stdio": "pipe"}
OWN = ("direct", "ours", "ours on stdio")


def serve(transport: str, port: int) -> None:
    """Be the server that is called."""
    server = MCPServer("bench", log_level="ERROR")

    @server.tool()
    async def echo(text: str) -> str:
        return text

    if transport == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", port=port)


async def tool_behind(target: Any, era: Era, server: str) -> str:
    """The name that the tool has on this way, once it is listed there.

    Raises `RuntimeError` where another era is spoken, and `TimeoutError`.
    """
    with anyio.fail_after(60):
        async with Client(target, mode=era) as client:
            if (client.protocol_version >= ERAS["auto"]) != (era == "auto"):
                raise RuntimeError(f"it speaks {client.protocol_version}")
            while True:
                for tool in (await client.list_tools()).tools:
                    if tool.name == "echo" or (tool.name.startswith(server) and tool.name.endswith("echo")):
                        return tool.name
                await anyio.sleep(0.1)


class Way:
    """One way to the tool, and what its calls took."""

    def __init__(self, name: str, client: Client, tool: str) -> None:
        self.name = name
        self._client = client
        self._tool = tool
        self.medians: list[float] = []
        """Milliseconds of a call, one after the other; one figure for each round, of which the first warms up."""
        self.rates: list[float] = []
        """Calls a second of 16 callers."""

    async def call(self) -> float:
        """Milliseconds of one call, whose answer is right."""
        started = time.perf_counter()
        result = await self._client.call_tool(self._tool, ARGUMENTS)
        taken = time.perf_counter() - started
        if result.is_error or result.content[0].text != ARGUMENTS["text"]:  # type: ignore[union-attr] # else it raises
            raise RuntimeError(f"{self.name}: {result}")
        return 1e3 * taken

    async def round(self, calls: int) -> None:
        """One round of both kinds."""
        self.medians.append(median([await self.call() for _ in range(calls)]))

        async def caller() -> None:
            for _ in range(calls // CALLERS + 1):
                await self.call()

        started = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(caller)
        self.rates.append(CALLERS * (calls // CALLERS + 1) / (time.perf_counter() - started))


def told(kind: Kind, era: Era, ways: list[Way]) -> None:
    """Print what the ways took, beside the first, which is the direct one."""
    most, least = GOALS[kind]
    for way in ways:
        medians, rates = way.medians[1:], way.rates[1:]
        slower = [own / base for own, base in zip(medians, ways[0].medians[1:], strict=True)]
        share = [own / base for own, base in zip(rates, ways[0].rates[1:], strict=True)]
        kept = ""
        if way.name in OWN[1:]:
            is_kept = median(slower) <= most and median(share) >= least
            kept = f"  goal {most} times" + (f", {least:.0%}" if least else "") + ("" if is_kept else "  MISSED")
        print(
            f"{kind:<6} {ERAS[era]}  {way.name:<16} p50 {median(medians):7.2f} ms, {spread(slower)} times direct   "
            f"{median(rates):6.0f}/s at {CALLERS} at once, {spread(share)} of direct{kept}"
        )


def spread(figures: list[float]) -> str:
    low, middle, high = quantiles(figures, n=4)
    return f"{middle:5.2f} [{low:.2f} .. {high:.2f}]"


@contextmanager
def sparing(name: str, kind: Kind, era: Era) -> Iterator[None]:
    """Name a peer that fails, and go on without it."""
    try:
        yield
    except Exception as error:  # boundary: whatever a peer does, the others are measured
        if name in OWN:
            raise
        left_out(f"{name}, {kind} {ERAS[era]}", error)


async def compare(kind: Kind, era: Era, targets: dict[str, Callable[[], Any]], *, calls: int, rounds: int) -> None:
    """Let the ways take turns."""
    async with AsyncExitStack() as stack:
        ways = []
        for name, target in targets.items():
            with sparing(name, kind, era):
                tool = await tool_behind(target(), era, SERVERS[kind])
                ways.append(Way(name, await stack.enter_async_context(Client(target(), mode=era)), tool))
        for number in range(rounds + 1):
            for way in ways if number % 2 else reversed(ways):
                with sparing(way.name, kind, era):
                    await way.round(calls if number else calls // 4 + 1)
            ways = [way for way in ways if len(way.rates) > number]
        told(kind, era, ways)


def installed() -> Iterator[Peer]:
    """The peers that are there; what is not measured is said."""
    for peer in PEERS:
        if peer.version is None:
            left_out(peer.name, "it is not installed here (make peers)")
            continue
        print(f"beside {peer.name} {peer.version}")
        if peer.but:
            left_out(peer.name, peer.but)
        yield peer


async def main(calls: int, rounds: int, eras: Sequence[Era]) -> None:
    """Over HTTP and on stdio, in each of the protocol's eras."""
    print(f"{rounds} interleaved rounds of {calls} calls; medians, quartiles in brackets; {os.cpu_count()} cores")
    peers = [peer for peer in installed() if any(era in eras for _, era in peer.ways)]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        async def listening(*command: str, port: int) -> str:
            return await stack.enter_async_context(process(sys.executable, *command, port=port, folder=folder)) + "/mcp"

        port = free_port()
        url = await listening(__file__, "--serve", "http", str(port), port=port)
        program = [sys.executable, __file__, "--serve", "stdio", "0"]
        upstream = Upstream(url, program, folder / "mcp.json", folder)
        pipe = {"command": program[0], "args": program[1:]}
        upstream.mcp_json.write_text(json.dumps({"mcpServers": {"web": {"url": url}, "pipe": pipe}}), "utf-8")
        port = free_port()
        ours = await listening("-m", "trunkline", "serve", str(upstream.mcp_json), "--port", str(port), port=port)
        addresses = await stack.enter_async_context(started(peers, upstream))
        log = stack.enter_context((folder / "stdio.log").open("w", encoding="utf-8"))
        by_host = StdioServerParameters(
            command=sys.executable, args=["-m", "trunkline", "serve", str(upstream.mcp_json), "--stdio"]
        )
        straight: dict[Kind, Callable[[], Any]] = {
            "HTTP": lambda: url,
            "stdio": lambda: stdio_client(StdioServerParameters(command=program[0], args=program[1:])),
        }
        for era in eras:
            for kind, direct in straight.items():
                targets: dict[str, Callable[[], Any]] = {"direct": direct, "ours": lambda: ours}
                if kind == "stdio":
                    targets["ours on stdio"] = lambda: stdio_client(by_host, errlog=log)
                for peer in peers:
                    if peer in addresses and (kind, era) in peer.ways:
                        targets[peer.name] = partial(peer.target, addresses[peer], kind, era, upstream)
                await compare(kind, era, targets, calls=calls, rounds=rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the gateway adds to a call.")
    parser.add_argument("--calls", type=int, default=100, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each")
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    parser.add_argument("--serve", nargs=2, metavar=("TRANSPORT", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
    else:
        anyio.run(main, *((10, 2, ("auto",)) if options.quick else (options.calls, options.rounds, tuple(ERAS))))
