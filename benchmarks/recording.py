"""What recording one request costs: `record()`, `track()` and the event fold, beside prometheus_client if it is there.

Run it by hand: `python benchmarks/recording.py`. Rounds are interleaved, so that a busy machine slows every candidate
alike: read the ratios.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from trunkline.call import Delivery
from trunkline.events import AttemptFinished, CallFinished, CallStarted
from trunkline.monitoring.metrics import MetricsCollector

ROUNDS = 21
CALLS = 20_000


def loop_only() -> None:
    for _ in range(CALLS):
        pass


def record() -> None:
    metrics = MetricsCollector()
    for _ in range(CALLS):
        metrics.record("speech", "transcribe", duration=0.25)


def track() -> None:
    metrics = MetricsCollector()
    for _ in range(CALLS):
        with metrics.track("speech", "transcribe"):
            pass


def events() -> None:
    metrics = MetricsCollector()
    started = CallStarted(0.0, "1", "tools/call", "stt", "speech")
    attempt = AttemptFinished(0.0, "1", "tools/call", "stt", "speech", "stt", None, "ok", 0.2, Delivery.ANSWERED)
    finished = CallFinished(
        0.0, "1", "tools/call", "stt", "speech", "stt", "ok", 0.25, 1, "miss", None, may_have_run=True, tracked=False
    )
    for _ in range(CALLS):
        metrics.observe(started)
        metrics.observe(attempt)
        metrics.observe(finished)


def prometheus_client(module: Any) -> Callable[[], None]:
    registry = module.CollectorRegistry()
    names = ["domain", "operation", "outcome"]
    histogram = module.Histogram("request_seconds", "Duration.", names, registry=registry)
    counter = module.Counter("requests", "Requests.", names, registry=registry)

    def run() -> None:
        for _ in range(CALLS):
            counter.labels("speech", "transcribe", "ok").inc()
            histogram.labels("speech", "transcribe", "ok").observe(0.25)

    return run


def nanoseconds(candidate: Callable[[], None]) -> float:
    gc.collect()
    started = time.perf_counter_ns()
    candidate()
    return (time.perf_counter_ns() - started) / CALLS


def main() -> None:
    candidates: dict[str, Callable[[], None]] = {
        "loop": loop_only,
        "record()": record,
        "with track()": track,
        "events of one call": events,
    }
    try:
        candidates["prometheus_client"] = prometheus_client(import_module("prometheus_client"))
    except ImportError:
        print("prometheus_client is not installed: no comparison")
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, candidate in candidates.items():
            taken[name].append(nanoseconds(candidate))
    base = statistics.median(taken.pop("loop"))
    ours = statistics.median(taken["record()"]) - base
    print(f"{'':20} {'median':>9} {'best':>9} {'to record()':>12}")
    for name, values in taken.items():
        median, best = statistics.median(values) - base, min(values) - base
        print(f"{name:20} {median:6.0f} ns {best:6.0f} ns {median / ours:11.1f}x")


if __name__ == "__main__":
    main()
