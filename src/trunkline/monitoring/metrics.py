"""Metrics of every domain: what was asked of it, how it went, how long it took, and where that is heading.

`MetricsCollector` works alone. Inside an `Infrastructure` it also observes the event stream, so that every tool call
is recorded even where nobody tracked it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from trunkline.bus import EventBus
from trunkline.call import UNATTRIBUTED
from trunkline.events import Observer
from trunkline.monitoring.dashboard import dashboard
from trunkline.monitoring.event_fold import EventFold
from trunkline.monitoring.labels import clean
from trunkline.monitoring.readings import Reading, ReadingSource
from trunkline.monitoring.reports import snapshot, trend, trends
from trunkline.monitoring.series import FOLD_AT
from trunkline.monitoring.statements import Statement, TrendWatch
from trunkline.monitoring.stats import DomainStats, Metric, Trend
from trunkline.monitoring.store import MetricStore
from trunkline.monitoring.tracking import Tracked

__all__ = ["DomainStats", "Metric", "MetricsCollector", "Trend"]


class MetricsCollector:
    """Records what domains do and answers how they are doing.

    Recording costs about a microsecond, never waits and never raises but for arguments of the wrong type; it is safe
    from any thread. Reading is synchronous and does no I/O.
    """

    def __init__(
        self,
        *,
        max_series: int = 2000,
        max_windowed: int = 500,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Make an empty collector.

        Args:
            max_series: Label combinations each metric keeps, 1 or more; beyond it records are counted under `_other`.
            max_windowed: Domains, tools, servers and probed components, all together, whose recent past is kept, 1 or
                more: some 50 KiB each. Beyond it, further names share the windows of `_other`, and are counted.
            clock: Seconds that only go forward; everything is measured with it.
            wall: Seconds since the epoch; only for telling when something was.

        Raises:
            ValueError: `max_series` or `max_windowed` is less than 1.
        """
        for name, limit in (("max_series", max_series), ("max_windowed", max_windowed)):
            if limit < 1:
                message = f"{name} = {limit!r}: expected 1 or more"
                raise ValueError(message)
        self.store = MetricStore(max_series=max_series, max_windowed=max_windowed, clock=clock, wall=wall)
        """Everything recorded, for exporters."""
        self.observe: Observer = EventFold(self.store)
        """Takes in one event of the event stream."""
        self._trends = TrendWatch(self.store)
        self._sources: dict[str, ReadingSource] = {}
        # Bound once: what a record costs is mostly looking things up.
        self._clock = clock
        self._known = self.store.requests.known

    def __repr__(self) -> str:
        series = sum(len(family) for family in self.store.families.values())
        overflowed = sum(family.overflowed for family in self.store.families.values())
        return f"<MetricsCollector [{len(self.domains())} domains, {series} series, {overflowed} overflowed]>"

    def track(self, domain: str, operation: str) -> Tracked:
        """Track one operation of a domain: `with`, `async with`, or a decorator of a function, async or not.

        Counts as one request of `domain`; tool calls made inside inherit the domain. The outcome is `ok`, `error` when
        an exception leaves, `cancelled` when a cancellation does; they pass unchanged.
        """
        return Tracked(self.store, domain, operation)

    def record(self, domain: str, operation: str, *, duration: float, outcome: str = "ok") -> None:
        """Record one request of `domain` that took `duration` seconds and has just ended.

        Every outcome but `ok` and `cancelled` counts as an error.
        """
        series = self._known((domain, operation, outcome)) or self.store.requests.find(
            (domain or UNATTRIBUTED, operation, outcome)
        )
        # What `note` does, written out: the call would cost a fifth of the whole.
        series.append((self._clock(), duration if 0.0 <= duration < inf else 0.0))
        if len(series.pending) >= FOLD_AT:
            self.store.fold_if_free(series)

    def recorder(self, domain: str, operation: str, outcome: str = "ok") -> Callable[[float], None]:
        """Return a function that records one such request, given its duration (s): `record` at half the price.

        For the hottest paths; it may be kept as long as the collector, and called from any thread.
        """
        return self.store.recorder(self.store.requests.find((domain or UNATTRIBUTED, operation, outcome)))

    def watch(self, bus: EventBus) -> Callable[[], None]:
        """Observe everything `bus` tells, and export how often its observers failed; returns a function that stops."""
        self.store.bus = bus
        return bus.subscribe(self.observe)

    def read_also(self, name: str, source: ReadingSource) -> None:
        """Export what `source` reads besides, whenever the metrics are asked for; again under `name`: instead."""
        self._sources[name] = source

    def readings(self) -> Iterator[Reading]:
        """What all sources read now; of one that fails, nothing, and that is counted as an observer's failure."""
        for name, source in self._sources.items():
            try:
                found = list(source())
            except Exception as error:  # boundary: numbers that cannot be read must not cost those that can
                self.store.count("observer_failures", name, type(error).__name__)
            else:
                yield from found

    def fold(self) -> None:
        """Work in what was recorded since the last time. Once a second keeps every read and every record short."""
        for _ in self.folding():
            pass

    def folding(self) -> Iterator[None]:
        """Do what `fold` does in slices of one to two milliseconds: an event loop turns in between.

        `for _ in metrics.folding(): await anyio.lowlevel.checkpoint()`
        """
        yield from self.store.folding()
        yield from self._trends.looking()

    def domains(self) -> tuple[str, ...]:
        """Return the names of all domains that did anything or are about to, sorted."""
        return tuple(sorted(self.store.requests.groups.copy()))

    def domain(self, name: str) -> DomainStats:
        """Return the statistics of one domain since the start; all zero for a domain nobody knows."""
        group = self.store.requests.groups.get(clean(name))
        return DomainStats() if group is None else self.store.lifetime(group)

    def snapshot(self, window: float | None = 60.0) -> dict[str, Any]:
        """Return `{"window": …, "domains": {name: …}, "tools": {name: …}, "servers": {name: …}}`, JSON-able.

        Each value has the fields of `DomainStats`: for domains of their requests, for tools of their calls, for servers
        of single attempts. `window` is in seconds, up to 48 h; None is since the start, with the last minute's rate.

        Raises:
            ValueError: `window` is not greater than 0.
        """
        return snapshot(self.store, window)

    def trend(self, domain: str, metric: Metric = "p95") -> Trend:
        """Compare the last minute of `domain` with the minute before, the hour before, and the same hour yesterday.

        Raises:
            ValueError: there is no such metric.
        """
        return trend(self.store, domain, metric)

    def trends(self) -> dict[str, tuple[Trend, ...]]:
        """Return the trends of each domain's rate, error ratio, p50, p90, p95 and p99, in this order."""
        return trends(self.store)

    def statements(self) -> tuple[Statement, ...]:
        """Return what is out of the ordinary now, the latest first; see `Statement`, whose `str` says it in words.

        Somebody has to look every ten seconds or so: folding does it, and so does this.
        """
        return self._trends.statements()

    def dashboard(self) -> dict[str, Any]:
        """Return how everything is, as one JSON-able mapping: what the web page shows."""
        return dashboard(self.store, self.statements())
