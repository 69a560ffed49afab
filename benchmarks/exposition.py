"""What a scrape costs with a thousand and with ten thousand series, in each format, beside prometheus_client.

Each series is a histogram of 20 values with 19 classic bounds. Time is the processor's, not the clock's: others on the
machine lengthen it less. Candidates take turns, so that a busy machine slows all alike: read the ratios. The longest
stretch is what the event loop's other tasks wait for at worst while a page is rendered: between two turns of a task
that does nothing else than take its turn.

Run it by hand: `python benchmarks/exposition.py`, or with `--quick` for a look.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import anyio
import anyio.lowlevel

from trunkline.monitoring.buckets import FAST_BOUNDS, MCP_BOUNDS
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.negotiation import CONTENT_TYPES
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.scrape import MetricsPage

VALUES = [random.Random(7).lognormvariate(-2.0, 1.0) for _ in range(20)]

Candidate = Callable[[], Awaitable[int]]
"""Renders one page; returns its bytes."""


def ours(series: int) -> dict[str, Candidate]:
    metrics = MetricsCollector(max_series=series)
    for number in range(series):
        for value in VALUES:
            metrics.record("speech", f"operation {number}", duration=value)
    metrics.fold()
    page = MetricsPage(PrometheusExporter(metrics))

    def rendering(accept: str) -> Candidate:
        scope: dict[str, Any] = {"type": "http", "headers": [(b"accept", accept.encode())]}

        async def render() -> int:
            size = 0

            async def send(message: Any) -> None:
                nonlocal size
                size += len(message.get("body", b""))

            async def receive() -> Any:
                await anyio.sleep_forever()  # the reader stays

            await page(scope, receive, send)
            return size

        return render

    return {f"ours, {form}": rendering(accept) for form, accept in CONTENT_TYPES.items()}


def theirs(series: int) -> dict[str, Candidate]:
    try:
        client = import_module("prometheus_client")
        openmetrics = import_module("prometheus_client.openmetrics.exposition")
    except ImportError:
        return {}
    registry = client.CollectorRegistry()
    bounds = FAST_BOUNDS + MCP_BOUNDS
    names = ["domain", "operation", "outcome"]
    histogram = client.Histogram("request_seconds", "Duration.", names, registry=registry, buckets=bounds)
    for number in range(series):
        child = histogram.labels("speech", f"operation {number}", "ok")
        for value in VALUES:
            child.observe(value)

    def rendering(generate: Callable[[Any], bytes]) -> Candidate:
        async def render() -> int:
            return len(generate(registry))

        return render

    return {
        "prometheus_client, text": rendering(client.generate_latest),
        "prometheus_client, openmetrics": rendering(openmetrics.generate_latest),
    }


async def measured(candidate: Candidate) -> tuple[float, float, int]:
    """Milliseconds of processor time, those of the longest stretch, and the bytes."""
    longest = 0.0

    async def take_turns() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await anyio.lowlevel.checkpoint()
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    gc.collect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        await anyio.lowlevel.checkpoint()
        size = await candidate()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    # Once more without anybody who takes turns: those would be counted too.
    started = time.process_time()
    await candidate()
    return (time.process_time() - started) * 1e3, longest * 1e3, size


async def compare(series: int, rounds: int) -> None:
    candidates = ours(series) | theirs(series)
    taken: dict[str, list[tuple[float, float, int]]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            taken[name].append(await measured(candidate))
    base = statistics.median(cost for cost, _, _ in taken["ours, text"])
    for name, rows in taken.items():
        costs = [cost for cost, _, _ in rows]
        median, stretch = statistics.median(costs), statistics.median(longest for _, longest, _ in rows)
        print(
            f"{series:>6} series  {name:31} {median:8.1f} ms  [{min(costs):.1f} .. {max(costs):.1f}]  "
            f"{median / base:5.1f}x  longest stretch {stretch:7.1f} ms  {rows[0][2] / 1e6:5.1f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="few series, one round")
    quick = parser.parse_args().quick
    for series, rounds in ((50, 1),) if quick else ((1_000, 9), (10_000, 3)):
        anyio.run(compare, series, rounds)
    try:
        import_module("opentelemetry.exporter.prometheus")
    except ImportError:
        print("OpenTelemetry's exporter for Prometheus is not installed: no comparison with it")


if __name__ == "__main__":
    main()
