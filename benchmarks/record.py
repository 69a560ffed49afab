"""P2: what recording one request costs, beside prometheus_client and OpenTelemetry's SDK, each at its best.

    python benchmarks/record.py [--calls 1000] [--rounds 41] [--quick]

The candidates take turns in rounds, in one order and then in the other, so that a change of the machine's speed hits
all of them. Quoted are medians over rounds of processor time, with quartiles; the price of an empty loop is taken off.
Ours counts and orders later: what that costs is measured as well ("and its fold"), though no caller waits for it.
At their best: children and attributes made beforehand, one histogram and no counter beside it (it counts, too), no
exemplars. What is usual is measured besides: a counter as well, or labels looked up for each request.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from importlib import import_module
from statistics import median, quantiles
from typing import Any

from trunkline.call import Delivery
from trunkline.events import AttemptFinished, CallFinished, CallStarted
from trunkline.monitoring.buckets import MCP_BOUNDS
from trunkline.monitoring.metrics import MetricsCollector

LABELS = ("speech", "transcribe", "ok")
NAMES = ("domain", "operation", "outcome")

Candidate = Callable[[int], None]


def nothing(calls: int) -> None:
    for _ in range(calls):
        pass


def record(metrics: MetricsCollector) -> Candidate:
    def run(calls: int) -> None:
        for _ in range(calls):
            metrics.record("speech", "transcribe", duration=0.25)

    return run


def recorder(metrics: MetricsCollector) -> Candidate:
    bound = metrics.recorder("speech", "transcribe")

    def run(calls: int) -> None:
        for _ in range(calls):
            bound(0.25)

    return run


def record_and_fold(metrics: MetricsCollector) -> Candidate:
    def run(calls: int) -> None:
        for _ in range(calls):
            metrics.record("speech", "transcribe", duration=0.25)
        metrics.store.fold()

    return run


def track(metrics: MetricsCollector) -> Candidate:
    def run(calls: int) -> None:
        for _ in range(calls):
            with metrics.track("speech", "transcribe"):
                pass

    return run


def events(metrics: MetricsCollector) -> Candidate:
    started = CallStarted(0.0, "1", "tools/call", "stt", "speech")
    attempt = AttemptFinished(0.0, "1", "tools/call", "stt", "speech", "stt", None, "ok", 0.2, Delivery.ANSWERED)
    finished = CallFinished(
        0.0, "1", "tools/call", "stt", "speech", "stt", "ok", 0.25, 1, "miss", None, may_have_run=True, tracked=False
    )

    def run(calls: int) -> None:
        for _ in range(calls):
            metrics.observe(started)
            metrics.observe(attempt)
            metrics.observe(finished)

    return run


def prometheus(module: Any) -> dict[str, Candidate]:
    registry = module.CollectorRegistry()
    histogram = module.Histogram("request_seconds", "Duration.", NAMES, buckets=MCP_BOUNDS, registry=registry)
    observe = histogram.labels(*LABELS).observe
    increase = module.Counter("requests", "Requests.", NAMES, registry=registry).labels(*LABELS).inc

    def bound(calls: int) -> None:
        for _ in range(calls):
            observe(0.25)

    def both(calls: int) -> None:
        for _ in range(calls):
            increase()
            observe(0.25)

    def by_labels(calls: int) -> None:
        for _ in range(calls):
            histogram.labels("speech", "transcribe", "ok").observe(0.25)

    return {
        "prometheus_client, bound child": bound,
        "prometheus_client, and a counter": both,
        "prometheus_client, labels()": by_labels,
    }


def opentelemetry(metrics: Any, readers: Any) -> dict[str, Candidate]:
    provider = metrics.MeterProvider(
        metric_readers=[readers.InMemoryMetricReader()], exemplar_filter=metrics.AlwaysOffExemplarFilter()
    )
    histogram = provider.get_meter("bench").create_histogram(
        "request", unit="s", explicit_bucket_boundaries_advisory=list(MCP_BOUNDS)
    )
    shared = dict(zip(NAMES, LABELS, strict=True))

    def bound(calls: int) -> None:
        for _ in range(calls):
            histogram.record(0.25, shared)

    def by_labels(calls: int) -> None:
        for _ in range(calls):
            histogram.record(0.25, {"domain": "speech", "operation": "transcribe", "outcome": "ok"})

    return {"OpenTelemetry SDK, one dict": bound, "OpenTelemetry SDK, a dict each": by_labels}


def others() -> dict[str, Candidate]:
    found: dict[str, Candidate] = {}
    try:
        found |= prometheus(import_module("prometheus_client"))
    except ImportError:
        print("NOT MEASURED: prometheus_client is not installed")
    try:
        sdk = import_module("opentelemetry.sdk.metrics")
        found |= opentelemetry(sdk, import_module("opentelemetry.sdk.metrics.export"))
    except ImportError:
        print("NOT MEASURED: opentelemetry-sdk is not installed")
    return found


def nanoseconds(candidate: Candidate, calls: int) -> float:
    started = time.thread_time_ns()
    candidate(calls)
    return (time.thread_time_ns() - started) / calls


def compare(taken: dict[str, list[float]], theirs: str, ours: str) -> None:
    ratios = [their / our for their, our in zip(taken[theirs], taken[ours], strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    verdict = f"{middle:.1f} times as long as" if middle >= 1 else f"WE LOSE: {middle:.2f} times as long as"
    print(f"{theirs:<32} {verdict} {ours}  [{low:.1f} .. {high:.1f}]")


def main(calls: int, rounds: int) -> None:
    metrics = MetricsCollector()
    candidates: dict[str, Candidate] = {
        "record()": record(metrics),
        "recorder()": recorder(metrics),
        "record() and its fold": record_and_fold(metrics),
        "with track()": track(metrics),
        "the events of one call": events(metrics),
        **others(),
    }
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    gc.collect()
    for number in range(rounds):
        for name in sorted(candidates, reverse=number % 2 == 1):
            # What is pending from before must not be folded on the clock, nor what this round leaves.
            metrics.store.fold()
            empty = nanoseconds(nothing, calls)
            taken[name].append(max(1.0, nanoseconds(candidates[name], calls) - empty))
    print(f"Python {sys.version.split()[0]}, {rounds} interleaved rounds of {calls}; medians, quartiles in brackets")
    for name, values in taken.items():
        low, _, high = quantiles(values, n=4)
        print(f"{name:<32} {median(values):8.0f} ns  [{low:.0f} .. {high:.0f}]")
    for theirs in taken:
        if ", " in theirs:
            for ours in ("recorder()", "record()", "record() and its fold"):
                compare(taken, theirs, ours)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What recording one request costs.")
    parser.add_argument("--calls", type=int, default=1000, help="requests in a round: beyond 1000, ours folds in it")
    parser.add_argument("--rounds", type=int, default=41, help="rounds of each")
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds = 200, 4
    main(options.calls, options.rounds)
