"""What following a call costs, and what a push of metrics does: with and without an SDK of OpenTelemetry.

    python benchmarks/tracing.py [--quick]

A call here is one span and one attempt below it, by the tracer alone, as the processor spends on it. Candidates take
turns in rounds; quoted are medians with quartiles. Nothing is measured of exporters: they run beside the calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median, quantiles

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from trunkline import MetricsCollector
from trunkline.call import Call, Place
from trunkline.monitoring.catalogue import HISTOGRAMS
from trunkline.monitoring.otel.payload import Collected, metrics_request
from trunkline.monitoring.otel.spans import OpenTelemetryTracer
from trunkline.monitoring.store_readings import distributions, store_readings

PLACE = Place("search", None, "tcp", "search.internal", 443)
GOAL = 3.0
"""Microseconds a call may cost where no SDK is set up."""
SERIES = 1000


class Nowhere(SpanProcessor):
    """Takes every span and keeps none: what is left is the SDK's own cost."""

    def on_start(self, span: Span, parent_context: object = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Do nothing."""


def complain(name: str, error: Exception) -> None:
    raise SystemExit(f"{name}: {error!r}")


def tracer(provider: TracerProvider | None) -> OpenTelemetryTracer:
    if provider is not None:
        provider.add_span_processor(Nowhere())
    return OpenTelemetryTracer(provider, on_failure=complain)


def following(tracer: OpenTelemetryTracer | None) -> Callable[[], None]:
    """One call with one attempt, as the layers tell of it."""
    call = Call("1", "tools/call", "search_web", {}, "research", 0.0, 30.0, server="search", target="web")

    def follow() -> None:
        span = None if tracer is None else tracer.start(call)
        if span is not None:
            attempt = span.attempt(call, PLACE, "2026-07-28")
            if attempt is not None:
                attempt.end("ok")
            span.end("ok")

    return follow


def microseconds(follow: Callable[[], None], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        follow()
    return 1e6 * (time.process_time() - started) / times


def calls(times: int, rounds: int) -> None:
    candidates = {
        "no tracer": (following(None), 20),
        "API, no SDK set up": (following(tracer(None)), 10),
        "SDK, not sampled": (following(tracer(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))), 1),
        "SDK, recorded": (following(tracer(TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False))), 1),
    }
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, (follow, more) in candidates.items():
            figures[name].append(microseconds(follow, times * more))
    for name, found in figures.items():
        low, _, high = quantiles(found, n=4)
        goal = f"   goal {GOAL:g} us" if name == "API, no SDK set up" else ""
        print(f"{name:<20} {median(found):8.2f} us  [{low:.2f} .. {high:.2f}]{goal}")


def push(rounds: int) -> None:
    """What a push of many series takes of the processor: on the event loop, and in a thread beside it."""
    metrics = MetricsCollector()
    for number in range(SERIES):
        for step in range(20):
            metrics.record(f"domain-{number % 50}", f"operation-{number}", duration=0.001 * 1.7**step)
    collecting, encoding, size = [], [], 0
    for _ in range(rounds):
        started = time.process_time()
        found = [
            (spec, [one for some in distributions(metrics.store, spec, {}) for one in some]) for spec in HISTOGRAMS
        ]
        collected = Collected(found, list(store_readings(metrics.store)), 0, 1)
        collecting.append(1e3 * (time.process_time() - started))
        started = time.process_time()
        size = len(metrics_request(collected, {"service.name": "bench"}))
        encoding.append(1e3 * (time.process_time() - started))
    print(
        f"a push of {SERIES:,} exponential histograms: collected {median(collecting):.1f} ms (in slices on the loop), "
        f"encoded {median(encoding):.1f} ms (in a thread), {size / 1000:.0f} kB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What following a call by OpenTelemetry costs.")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    options = parser.parse_args()
    calls(*(20, 4) if options.quick else (1000, 15))
    push(2 if options.quick else 9)
