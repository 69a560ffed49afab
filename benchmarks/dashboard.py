"""E4: what the dashboard weighs, how soon it is there, and what watching costs the gateway.

    python benchmarks/dashboard.py [--viewers 50] [--seconds 20] [--servers 200] [--quick]

The page's files are added up. A real gateway in front of three servers is asked for the page and its stream, and its
processor time is read from /proc, without a viewer and with many, each over a connection of its own. The bytes of many
servers are those of the stream over made-up records: all of them are called every second, none like the second before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import anyio
import anyio.lowlevel

from trunkline import Infrastructure
from trunkline.call import Delivery
from trunkline.config import load
from trunkline.events import AttemptFinished
from trunkline.gateway.broadcast import Broadcast
from trunkline.gateway.view import View
from trunkline.policy import HealthPolicy
from trunkline.testing.processes import free_port, stdio_command

TICKS = os.sysconf("SC_CLK_TCK")


def page_bytes() -> int:
    """All files that the page consists of."""
    return sum(len(file.read_bytes()) for file in files("trunkline.gateway").joinpath("static").iterdir())


def processor_seconds(pid: int) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def viewer(port: int) -> socket.socket:
    """A connection that has asked for the stream."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return connection


def watch(connections: list[socket.socket], seconds: float) -> int:
    """Read all of them for so long; return the bytes that came."""
    received, end = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                received += len(key.fileobj.recv(65536))  # type: ignore[union-attr]
    return received


def first_data(port: int) -> float:
    """Seconds from asking for the page to holding its first view."""
    started = time.monotonic()
    with urlopen(f"http://127.0.0.1:{port}/") as page:
        page.read()
    received = b""
    with viewer(port) as connection:
        while b"event: view" not in received or not received.endswith(b"\n\n\r\n"):
            received += connection.recv(65536)
    return time.monotonic() - started


def wait_until_connected(port: int) -> None:
    """Return once every server behind the gateway works."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/view") as answer:
                if json.load(answer)["overall"]["state"] == "healthy":
                    return
        except URLError:
            pass
        time.sleep(0.1)
    raise TimeoutError


def gateway(viewers: int, seconds: float) -> None:
    """A real one: when the first data is there, and what viewers cost."""
    port = free_port()
    program, arguments = stdio_command()
    servers = {name: {"command": program, "args": arguments} for name in ("one", "two", "three")}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mcp.json"
        config.write_text(json.dumps({"mcpServers": servers}), "utf-8")
        command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until_connected(port)
            times = sorted(first_data(port) for _ in range(5))
            print(
                f"first data                 {1e3 * times[2]:8.1f} ms   [{1e3 * times[0]:.1f} .. {1e3 * times[-1]:.1f}]"
            )
            for number in (0, 1, viewers):
                connections = [viewer(port) for _ in range(number)]
                watch(connections, 1.0)
                before = processor_seconds(process.pid)
                received = watch(connections, seconds)
                share = (processor_seconds(process.pid) - before) / seconds
                rate = received / seconds / 1e3
                print(f"{number:3d} viewers, 3 servers     {share:8.2%} of a core, {rate:.2f} kB/s")
                for connection in connections:
                    connection.close()
        finally:
            process.terminate()
            process.wait(15)


async def many_servers(servers: int, looks: int) -> None:
    """Every second each of many servers is called a few times; what one viewer is sent."""
    infra = Infrastructure(load({"mcpServers": {}}))
    rng = random.Random(1)
    for number in range(servers):
        infra.health.add(f"server-{number:03d}", HealthPolicy())

    def call(name: str) -> None:
        base = rng.lognormvariate(-3, 1)
        for _ in range(rng.randint(1, 5)):
            duration = base * rng.lognormvariate(0, 0.5)
            infra.bus.emit(
                AttemptFinished(0.0, "c", "tools/call", "tool", "d", name, None, "ok", duration, Delivery.ANSWERED)
            )

    broadcast = Broadcast(View(infra), failed=print)
    sizes: list[int] = []
    costs: list[float] = []
    async with anyio.create_task_group() as tasks:

        async def follow() -> None:
            async for piece in broadcast.follow():
                sizes.append(len(piece))  # noqa: PERF401 - it has no end

        tasks.start_soon(follow)
        await anyio.lowlevel.checkpoint()
        began = time.monotonic()
        for _ in range(looks):
            for number in range(servers):
                call(f"server-{number:03d}")
            infra.metrics.fold()
            started = time.perf_counter()
            broadcast._tell()  # noqa: SLF001 - what happens once a second
            costs.append(time.perf_counter() - started)
            await anyio.sleep(1.0)
        took = time.monotonic() - began
        tasks.cancel_scope.cancel()
    first, *patches = sizes
    rate = sum(patches) / took / 1e3
    cost = sorted(costs)[len(costs) // 2]
    print(f"{servers:3d} busy servers           {rate:8.2f} kB/s a viewer, at most {max(patches) / 1e3:.2f}")
    print(f"  the first view           {first / 1e3:8.2f} kB")
    print(f"  a look, for all viewers  {1e3 * cost:8.2f} ms a second")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the dashboard weighs and what watching costs.")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    viewers, seconds = (5, 0.5) if asked.quick else (asked.viewers, asked.seconds)
    print(f"page                       {page_bytes() / 1e3:8.1f} kB")
    gateway(viewers, seconds)
    anyio.run(many_servers, asked.servers, 8 if asked.quick else 30)


if __name__ == "__main__":
    main()
