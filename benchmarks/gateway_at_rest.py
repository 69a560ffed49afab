"""P9: what `trunkline serve` takes while nothing happens, and how soon after its start it has answered a call.

    python benchmarks/gateway_at_rest.py [--rounds 5] [--rest 5] [--quick]

A gateway as a process of its own in front of three servers over stdio: once such as start at once, once real ones (of
`make servers`; where they are missing that is said). Memory is the gateway's own, without its servers', after it has
answered and rested: what it has in memory (RSS), and what of that is nobody else's (USS), from /proc. A call is made
over and over from the moment the process is started until it is answered. What the servers take by themselves to start,
all three at once and without a gateway, is measured beside it and taken off. The processor's time does not depend on
what else the machine does, the clock's does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from trunkline.testing.processes import free_port, stdio_command

TICKS = os.sysconf("SC_CLK_TCK")
SERVERS = Path(__file__).resolve().parents[1] / ".servers" / "bin"
STARTUP = 60.0
"""Seconds anything may take to start."""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}


def bare() -> dict[str, list[str]]:
    """Three servers that import next to nothing."""
    program, arguments = stdio_command()
    return {name: [program, *arguments] for name in ("one", "two", "three")}


def real(folder: Path) -> dict[str, list[str]]:
    """Three that people use: two in Python, one in Node."""
    subprocess.run(["git", "init", "--quiet", str(folder / "repository")], check=True)
    return {
        "one": [str(SERVERS / "mcp-server-time"), "--local-timezone", "UTC"],
        "two": [str(SERVERS / "mcp-server-git"), "--repository", str(folder / "repository")],
        "three": [str(SERVERS / "mcp-server-everything"), "stdio"],
    }


def own_start(servers: dict[str, list[str]]) -> float:
    """Seconds until the last of them, all started at once, has answered its first request."""
    hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}).encode() + b"\n"
    started = time.monotonic()
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for command in servers.values()
    ]
    ends: list[float] = []

    def ask(child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(hello)
        child.stdin.flush()
        if child.stdout.readline():
            ends.append(time.monotonic() - started)

    try:
        waiting = [threading.Thread(target=ask, args=(child,), daemon=True) for child in children]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(STARTUP)
    finally:
        for child in children:
            child.kill()
            child.wait()
    if len(ends) < len(children):
        raise TimeoutError("a server did not start")
    return max(ends)


def call(port: int, tool: str, arguments: dict[str, Any]) -> bool:
    """Whether a call is answered now, and by the tool."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}/mcp", body, headers), timeout=STARTUP) as answer:
            return b'"isError":false' in answer.read().replace(b" ", b"")
    except HTTPError as error:
        error.close()
        return False
    except (URLError, ConnectionError):
        return False


def memory(pid: int) -> tuple[float, float]:
    """RSS and USS in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(size.split()[0]) / 1024 for name, size in (line.split(":") for line in rollup)}
    return found["Rss"], found["Private_Clean"] + found["Private_Dirty"]


def processor_seconds(pid: int) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measured(servers: dict[str, list[str]], tool: str, arguments: dict[str, Any], rest: float) -> dict[str, float]:
    """One gateway, from its start to its end."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mcp.json"
        entries = {name: {"command": program, "args": rest_} for name, (program, *rest_) in servers.items()}
        config.write_text(json.dumps({"mcpServers": entries}), "utf-8")
        command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not call(port, tool, arguments):
                if process.poll() is not None or time.monotonic() - started > STARTUP:
                    raise TimeoutError("the gateway did not start")
                time.sleep(0.01)
            answered = time.monotonic() - started
            used = processor_seconds(process.pid)
            time.sleep(rest)
            rss, uss = memory(process.pid)
            idle = (processor_seconds(process.pid) - used) / rest
            leaving = time.monotonic()
            process.terminate()
            process.wait(30)
            return {
                "start": answered,
                "used": used,
                "rss": rss,
                "uss": uss,
                "idle": idle,
                "end": time.monotonic() - leaving,
            }
        finally:
            process.kill()
            process.wait()


def spread(figures: list[float], form: str) -> str:
    """Median and quartiles."""
    low, middle, high = quantiles(figures, n=4) if len(figures) > 1 else figures * 3
    return f"{middle:{form}}  [{low:{form}} .. {high:{form}}]"


def report(
    title: str, servers: dict[str, list[str]], call_: tuple[str, dict[str, Any]], rounds: int, rest: float
) -> None:
    """Measure in turns, and print."""
    own, found = [], []
    for _ in range(rounds):
        own.append(own_start(servers))
        found.append(measured(servers, *call_, rest))
    rss = median(each["rss"] for each in found)
    besides = [each["start"] - alone for each, alone in zip(found, own, strict=True)]
    print(f"{title}")
    print(f"  memory at rest, RSS     {spread([each['rss'] for each in found], '.1f')} MB  goal 90 MB{missed(rss, 90)}")
    print(f"  of it nobody else's     {spread([each['uss'] for each in found], '.1f')} MB")
    print(f"  a core at rest          {spread([100 * each['idle'] for each in found], '.2f')} %")
    print(f"  start to first answer   {spread([each['start'] for each in found], '.2f')} s")
    print(f"  processor's time of it  {spread([each['used'] for each in found], '.2f')} s")
    print(f"  the servers' own start  {spread(own, '.2f')} s")
    print(f"  besides that            {spread(besides, '.2f')} s  goal 2.5 s{missed(median(besides), 2.5)}")
    print(f"  SIGTERM to its end      {spread([each['end'] for each in found], '.2f')} s")


def missed(found: float, goal: float) -> str:
    return "" if found <= goal else "  MISSED"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a gateway takes at rest, and how soon it has answered.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=5.0, help="seconds without a call before memory is read")
    parser.add_argument("--quick", action="store_true", help="one short round in front of servers that start at once")
    asked = parser.parse_args()
    rounds, rest = (1, 0.5) if asked.quick else (asked.rounds, asked.rest)
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {cores} cores, load {load:.1f}"
    )
    report("three servers that start at once", bare(), ("one_add", {"a": 2, "b": 3}), rounds, rest)
    if asked.quick:
        return
    if not (SERVERS / "mcp-server-everything").exists():
        print("three real servers: NOT MEASURED, run make servers")
        return
    with tempfile.TemporaryDirectory() as folder:
        report("three real servers", real(Path(folder)), ("one_get_current_time", {"timezone": "UTC"}), rounds, rest)


if __name__ == "__main__":
    main()
