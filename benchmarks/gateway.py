"""P7 and P8: calls through the gateway beside calls that go straight to the server, and beside other proxies.

    python benchmarks/gateway.py [--calls 100] [--rounds 9] [--quick]

One server with one small tool, of the SDK, as a process, over HTTP and on stdio; the gateway, with nothing configured
but the two, as another. The same client, the SDK's own, goes all ways and keeps its sessions open; the ways take turns
in rounds, so that a busy machine slows all alike: read the ratios. First one call after the other, then 16 callers at
once. Client, gateway and server share the machine's cores: what the gateway computes, the others wait for.

FastMCP's proxy stands over one client that is kept open, its fastest way. mcp-hub runs on Node and speaks the handshake
era only, over HTTP with server-sent events. `make peers` installs both; one that is not there is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from mcp.server.mcpserver import MCPServer

from trunkline.testing.processes import free_port

PEERS = Path(__file__).parents[1] / "build" / "peers"
FASTMCP = PEERS / "bin" / "python"
HUB = PEERS / "npm" / "node_modules" / "mcp-hub" / "dist" / "cli.js"
ARGUMENTS = {"text": "hello"}
CALLERS = 16
Era = Literal["legacy", "auto"]
ERAS: dict[Era, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}
GOALS = {"HTTP": (1.5, 0.6), "stdio": (2.5, 0.0)}
"""At most so many times the direct median, at least such a share of the direct rate."""


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


def proxy(url: str, port: int) -> None:
    """Be FastMCP's proxy."""
    client_module, server_module = import_module("fastmcp.client"), import_module("fastmcp.server")

    async def run() -> None:
        async with client_module.Client(url) as client:
            app = server_module.create_proxy(client)
            await app.run_http_async(show_banner=False, host="127.0.0.1", port=port, log_level="critical")

    anyio.run(run)


@asynccontextmanager
async def process(*command: str, port: int, **environment: str) -> AsyncIterator[str]:
    """The address of an MCP server that a program serves, once it takes connections."""
    child = await anyio.open_process(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        with anyio.fail_after(60):
            while True:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    if child.returncode is not None:
                        raise RuntimeError(f"{command} ended with status {child.returncode}") from None
                    await anyio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        child.terminate()
        with anyio.fail_after(20, shield=True):
            await child.wait()


async def echo_of(client: Client, server: str) -> str:
    """The name that the tool has behind this way, once it is listed."""
    with anyio.fail_after(60):
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
        """Milliseconds of a call, one after the other; one figure for each round."""
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


def told(kind: str, era: Era, ways: list[Way]) -> None:
    """Print what the ways took, beside the first, which is the direct one."""
    direct, most, least = ways[0], *GOALS[kind]
    for way in ways:
        slower = [own / base for own, base in zip(way.medians, direct.medians, strict=True)]
        share = [own / base for own, base in zip(way.rates, direct.rates, strict=True)]
        kept = ""
        if way.name == "ours":
            is_kept = median(slower) <= most and median(share) >= least
            kept = f"  goal {most} times" + (f", {least:.0%}" if least else "") + ("" if is_kept else "  MISSED")
        print(
            f"{kind:<6} {ERAS[era]}  {way.name:<14} p50 {median(way.medians):7.2f} ms, {spread(slower)} times direct   "
            f"{median(way.rates):6.0f}/s at {CALLERS} at once, {spread(share)} of direct{kept}"
        )


def spread(figures: list[float]) -> str:
    low, middle, high = quantiles(figures, n=4)
    return f"{middle:5.2f} [{low:.2f} .. {high:.2f}]"


async def compare(kind: str, server: str, era: Era, targets: dict[str, Any], *, calls: int, rounds: int) -> None:
    """Let the ways take turns."""
    async with AsyncExitStack() as stack:
        ways = []
        for name, target in targets.items():
            client = await stack.enter_async_context(Client(target, mode=era))
            ways.append(Way(name, client, await echo_of(client, server)))
        for way in ways:
            await way.round(calls // 4 + 1)
            way.medians.clear()
            way.rates.clear()
        for number in range(rounds):
            for way in ways if number % 2 else reversed(ways):
                await way.round(calls)
        told(kind, era, ways)


async def main(calls: int, rounds: int, eras: Iterable[Era]) -> None:
    """Over HTTP and on stdio, in each of the protocol's eras."""
    own, script = str(sys.executable), __file__
    print(f"{rounds} interleaved rounds of {calls} calls; medians, quartiles in brackets; {os.cpu_count()} cores")
    for peer, place in (("FastMCP's proxy", FASTMCP), ("mcp-hub", HUB)):
        if not place.exists():
            print(f"*** NOT MEASURED: {peer} is not installed here (make peers) ***")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ports = [free_port() for _ in range(4)]
        upstream, gateway, proxied, hub = map(str, ports)

        async def started(*command: str, port: int) -> str:
            return await stack.enter_async_context(process(*command, port=port, XDG_STATE_HOME=folder))

        url = await started(own, script, "--serve", "http", upstream, port=ports[0])
        program = StdioServerParameters(command=own, args=[script, "--serve", "stdio", "0"])
        config = Path(folder) / "mcp.json"
        pipe = {"command": program.command, "args": program.args}
        config.write_text(json.dumps({"mcpServers": {"web": {"url": url}, "pipe": pipe}}), "utf-8")
        ours = await started(own, "-m", "trunkline", "serve", str(config), "--port", gateway, port=ports[1])
        if FASTMCP.exists():
            others = {"FastMCP proxy": await started(str(FASTMCP), script, "--proxy", url, proxied, port=ports[2])}
        else:
            others = {}
        if HUB.exists():
            node = str(PEERS / "npm" / "node")
            at_hub = await started(node, str(HUB), "--port", hub, "--config", str(config), port=ports[3])
        for era in eras:
            for kind, server, direct in (("HTTP", "web", url), ("stdio", "pipe", stdio_client(program))):
                targets: dict[str, Any] = {"direct": direct, "ours": ours}
                if kind == "HTTP":
                    targets |= others
                if HUB.exists() and era == "legacy":
                    targets["mcp-hub"] = sse_client(at_hub)
                await compare(kind, server, era, targets, calls=calls, rounds=rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the gateway adds to a call.")
    parser.add_argument("--calls", type=int, default=100, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each")
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    parser.add_argument("--serve", nargs=2, metavar=("TRANSPORT", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--proxy", nargs=2, metavar=("URL", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
    elif options.proxy:
        proxy(options.proxy[0], int(options.proxy[1]))
    else:
        anyio.run(main, *((10, 2, ("auto",)) if options.quick else (options.calls, options.rounds, tuple(ERAS))))
