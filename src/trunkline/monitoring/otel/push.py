"""Pushes metrics and traces to a collector, now and then, beside the calls: no call ever waits for any of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from trunkline.monitoring.catalogue import HISTOGRAMS, HistogramSpec
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.otel.delivery import Delivered, Delivery, Signal
from trunkline.monitoring.otel.payload import Collected, metrics_request
from trunkline.monitoring.otel.spool import SpanSpool, our_resource
from trunkline.monitoring.readings import Distribution, Reading
from trunkline.monitoring.series import Series
from trunkline.monitoring.store_readings import distributions, store_readings
from trunkline.policy import OtlpPolicy

__all__ = ["OtlpPush"]

_BATCH: Final = 512
"""Spans in one push."""
_PAUSE: Final = 1.0
"""Seconds between looks for spans; after a failure doubled each time, up to `_LONGEST_PAUSE`."""
_LONGEST_PAUSE: Final = 30.0
_LAST: Final = 1.0
"""Seconds that the last push gets when everything ends."""


class OtlpPush:
    """Pushes what `metrics` and `spool` have, as `policy` says."""

    def __init__(self, policy: OtlpPolicy, metrics: MetricsCollector, spool: SpanSpool | None) -> None:
        """Push nothing so far; without a `spool` there are no spans to push."""
        self._policy = policy
        self._metrics = metrics
        self._resource = dict((our_resource() if spool is None else spool.resource).attributes)
        self._spool = spool
        self._labels: dict[Series, Labels] = {}
        self._trouble: dict[Signal, str] = {}
        self._first = anyio.Event()
        self._pushes = Counter[tuple[str, ...]]()
        self._rejected = Counter[tuple[str, ...]]()

    def __repr__(self) -> str:
        done = {" ".join(labels): times for labels, times in self._pushes.items()}
        return f"<OtlpPush {done} {self._spool!r}>"

    async def run(self) -> None:
        """Push until cancelled, and then what is left, if the collector has been well so far."""
        client = httpx2.AsyncClient(follow_redirects=False, timeout=self._policy.timeout)
        async with client:
            delivery = Delivery(self._policy, client)
            try:
                async with anyio.create_task_group() as tasks:
                    if self._policy.metrics:
                        tasks.start_soon(self._push_metrics_now_and_then, delivery)
                    if self._spool is not None:
                        tasks.start_soon(self._push_spans_as_they_come, delivery, self._spool)
            finally:
                with anyio.move_on_after(_LAST, shield=True):
                    await self._push_the_rest(delivery)

    async def check(self, patience: float = 0.5) -> None:
        """Raise with the reason when the latest push failed, for `HealthMonitor.watch`. Asks nobody."""
        with anyio.move_on_after(patience):
            await self._first.wait()
        for reason in self._trouble.values():
            raise OSError(reason)

    def readings(self) -> Iterator[Reading]:
        """What was pushed, and what was lost."""
        counted = dict(self._pushes)
        yield Reading("trunkline_otlp_pushes", "counter", "Pushes to the collector.", counted, ("signal", "result"))
        yield Reading(
            "trunkline_otlp_rejected",
            "counter",
            "Spans and data points the collector did not take.",
            dict(self._rejected),
            ("signal",),
        )
        if self._spool is not None:
            yield _one("trunkline_otlp_spans_waiting", "gauge", "Spans that wait for their push.", len(self._spool))
            yield _one("trunkline_otlp_spans_dropped", "counter", "Spans that were lost.", self._spool.dropped)

    async def _push_metrics_now_and_then(self, delivery: Delivery) -> None:
        while True:
            done = await self._push_metrics(delivery)
            # What failed is made good by the next push: everything in it is counted from the start.
            await anyio.sleep(max(self._policy.interval, done.retry_after))

    async def _push_metrics(self, delivery: Delivery) -> Delivered:
        collected = await self._collect()
        body = await anyio.to_thread.run_sync(metrics_request, collected, self._resource)
        return self._noted("metrics", await delivery.push("metrics", body))

    async def _push_spans_as_they_come(self, delivery: Delivery, spool: SpanSpool) -> None:
        pause = _PAUSE
        while True:
            done = await self._push_spans(delivery, spool) if spool else Delivered()
            pause = min(pause * 2, _LONGEST_PAUSE) if done.reason else _PAUSE
            if done.reason or len(spool) < _BATCH:
                await anyio.sleep(max(pause, done.retry_after))

    async def _push_spans(self, delivery: Delivery, spool: SpanSpool) -> Delivered:
        spans = spool.take(_BATCH)
        is_settled = False
        try:
            done = self._noted("traces", await delivery.push("traces", await anyio.to_thread.run_sync(_encoded, spans)))
            is_settled = not done.may_retry
            if is_settled and done.reason:
                spool.dropped += len(spans)
        finally:
            if not is_settled:
                spool.put_back(spans)
        return done

    async def _push_the_rest(self, delivery: Delivery) -> None:
        if self._trouble:
            return
        while self._spool and not (await self._push_spans(delivery, self._spool)).reason:
            pass
        if self._policy.metrics:
            await self._push_metrics(delivery)

    async def _collect(self) -> Collected:
        """Everything at about one moment, letting others run in between."""
        store = self._metrics.store
        histograms: list[tuple[HistogramSpec, list[Distribution]]] = []
        for spec in HISTOGRAMS:
            found: list[Distribution] = []
            for some in distributions(store, spec, self._labels):
                found += some
                await anyio.lowlevel.checkpoint()
            histograms.append((spec, found))
        readings = [*store_readings(store), *self._metrics.readings()]
        now = store.wall()
        started = now - (store.clock() - store.started)
        return Collected(histograms, readings, int(started * 1e9), int(now * 1e9))

    def _noted(self, signal: Signal, done: Delivered) -> Delivered:
        self._pushes[signal, "failed" if done.reason else "ok"] += 1
        if done.rejected:
            self._rejected[(signal,)] += done.rejected
        if done.reason:
            self._trouble[signal] = done.reason
        else:
            self._trouble.pop(signal, None)
        self._first.set()
        return done


def _one(name: str, kind: Literal["counter", "gauge"], text: str, number: int) -> Reading:
    return Reading(name, kind, text, {(): number})


def _encoded(spans: list[ReadableSpan]) -> bytes:
    body: bytes = encode_spans(spans).SerializeToString()
    return body
