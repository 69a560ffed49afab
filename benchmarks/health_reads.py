"""P11: what reading health costs, and how soon `/health/*` answers, while every dependency hangs.

    python benchmarks/health_reads.py [--servers 10] [--requests 1000] [--quick]

Servers and Redis are ports that take every connection and never say a word, and child processes that sleep. In this
process, `health.report()` is read by the processor's time; a gateway in a process of its own is asked over one kept
connection, by the clock, for `/health/live` and `/health/ready` in turn.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
import anyio.lowlevel

from trunkline import Infrastructure
from trunkline.testing.processes import free_port

PATHS = ("/health/live", "/health/ready")
STARTUP = 60.0
"""Seconds the gateway may take to answer at all."""


@contextmanager
def silent_ports(count: int) -> Iterator[list[int]]:
    """Ports whose connections the kernel takes, and nobody reads."""
    sockets = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(count)]
    try:
        yield [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def configuration(ports: list[int]) -> dict[str, Any]:
    """One server at each port but the last, where Redis is; as many that are programs."""
    *servers, redis = ports
    silent = {"command": "sleep", "args": ["3600"]}
    return {
        "mcpServers": {
            **{f"http{number}": {"url": f"http://127.0.0.1:{port}/mcp"} for number, port in enumerate(servers)},
            **{f"stdio{number}": silent for number in range(len(servers))},
        },
        "trunkline": {
            "defaults": {"pool": {"connect_timeout": 1.0}},
            "cache": {"redis": {"url": f"redis://127.0.0.1:{redis}/0"}},
        },
    }


async def reading(config: dict[str, Any], rounds: int, reads: int, wait: float) -> tuple[int, list[float]]:
    """How many dependencies are not healthy, and microseconds of each round's reads."""
    async with Infrastructure.from_config(config) as infra:
        # Until the first attempts have been given up.
        await anyio.sleep(wait)
        taken = []
        for _ in range(rounds):
            started = time.thread_time()
            for _ in range(reads):
                infra.health.report()
            taken.append(1e6 * (time.thread_time() - started) / reads)
            await anyio.lowlevel.checkpoint()
        report = infra.health.report()
        return sum(part.state != "healthy" for part in (*report.servers, *report.others)), taken


@contextmanager
def gateway(config: dict[str, Any]) -> Iterator[int]:
    """The port of a gateway as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "mcp.json", free_port()
        path.write_text(json.dumps(config), "utf-8")
        command = [sys.executable, "-m", "trunkline", "serve", str(path), "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + STARTUP
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


def asking(port: int, requests: int) -> dict[str, list[float]]:
    """Milliseconds of each answer, by path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    taken: dict[str, list[float]] = {path: [] for path in PATHS}
    for path in PATHS:
        # The first answer also waits for the gateway to have started.
        connection.request("GET", path)
        connection.getresponse().read()
    for _ in range(requests):
        for path, figures in taken.items():
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            figures.append(1e3 * (time.perf_counter() - started))
            # What has hung for long enough makes the gateway not ready; it lives all the same.
            if answer.status != 200 and (path, answer.status) != ("/health/ready", 503):
                raise RuntimeError(f"{path} answers {answer.status}: {body[:300]!r}")
            # A prober asks now and then, and what goes on besides gets its turn.
            time.sleep(0.002)
    return taken


def main(servers: int, rounds: int, reads: int, requests: int, wait: float) -> None:
    with silent_ports(servers + 1) as ports:
        config = configuration(ports)
        hanging, taken = anyio.run(reading, config, rounds, reads, wait)
        low, middle, high = quantiles(taken, n=4)
        print(f"Python {sys.version.split()[0]}, {hanging} dependencies, none of which answers")
        print(f"health.report()   {middle:7.1f} us  [{low:.1f} .. {high:.1f}]  goal 100 us{missed(middle, 100)}")
        with gateway(config) as port:
            answers = asking(port, requests)
    for path, figures in answers.items():
        p99 = quantiles(figures, n=100)[98]
        print(f"{path:<16}  {median(figures):7.2f} ms, p99 {p99:.2f} ms, goal 5 ms{missed(p99, 5)}")


def missed(found: float, goal: float) -> str:
    return "" if found <= goal else "  MISSED"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What reading health costs while everything hangs.")
    parser.add_argument("--servers", type=int, default=10, help="servers that hang over HTTP, and as many on stdio")
    parser.add_argument("--requests", type=int, default=1000, help="requests to each path")
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        main(1, 4, 50, 20, 0.5)
    else:
        main(options.servers, 41, 1000, options.requests, 5.0)
