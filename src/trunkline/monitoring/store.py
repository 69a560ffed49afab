"""The one metric store: every series, every counter and the last known state of everything.

Recording appends and returns; it never waits, and does no I/O. Readers take the lock, fold and add up. Fed by tracked
operations and by the event stream; read by the collector and by exporters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from threading import Lock
from time import perf_counter

from trunkline.bus import EventBus
from trunkline.events import CircuitState
from trunkline.monitoring.labels import clean
from trunkline.monitoring.places import Places
from trunkline.monitoring.series import FOLD_AT, Family, Group, Series
from trunkline.monitoring.stats import DomainStats, measure, summarise
from trunkline.monitoring.tally import Tally
from trunkline.monitoring.windows import Span, Windows

__all__ = ["MetricStore"]


class MetricStore:
    """What the collector writes to and exporters read from."""

    def __init__(
        self, *, max_series: int, max_windowed: int, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self.clock = clock
        self.wall = wall
        self.started = clock()
        self._lock = Lock()
        self.places = places = Places(max_windowed, families=6)

        self.requests = Family(
            ("domain", "operation", "outcome"), group_by=0, limit=max_series, places=places, keeps_group=True
        )
        """What domains were asked to do."""
        self.tools = Family(
            ("domain", "server", "tool", "outcome"),
            group_by=2,
            limit=max_series,
            places=places,
            # There are many tools to a server, and their names are its own invention.
            most=max(1, max_windowed // 2),
        )
        """Tool calls as their callers saw them: retries, cache and fallbacks included."""
        self.attempts = Family(
            ("domain", "server", "method", "tool", "code", "outcome"),
            group_by=1,
            limit=max_series,
            places=places,
            keeps_group=True,
        )
        """Single attempts at a server."""
        self.probes = Family(
            ("server", "replica", "outcome"), group_by=0, limit=max_series, places=places, keeps_group=True
        )
        """Background health probes."""
        self.sessions = Family(
            ("server", "replica", "outcome"), group_by=0, limit=max_series, places=places, keeps_group=True
        )
        """How long connections lasted that have ended."""
        self.served = Family(
            ("method", "tool", "transport", "code", "outcome"), group_by=0, limit=max_series, places=places
        )
        """Requests the gateway answered."""
        self.loop_lag = Series((), Windows())
        self.tallies = {
            "retries": Tally("server", "tool", "reason", limit=max_series),
            "hedges": Tally("server", "tool", limit=max_series),
            "ejections": Tally("server", "replica", limit=max_series),
            "transitions": Tally("server", "replica", "from", "to", limit=max_series),
            "opened": Tally("server", "replica", limit=max_series),
            "lost": Tally("server", "replica", limit=max_series),
            "connect_failures": Tally("server", "replica", limit=max_series),
            "cache": Tally("domain", "result", limit=max_series),
            "fallbacks": Tally("domain", "fallback", limit=max_series),
            "tool_changes": Tally("server", limit=max_series),
            "tool_drifts": Tally("server", limit=max_series),
            "pin_mismatches": Tally("server", limit=max_series),
            "abandoned": Tally("path", "reason", limit=max_series),
            "refused": Tally("reason", limit=max_series),
            "config": Tally("result", limit=max_series),
            "observer_failures": Tally("observer", "error", limit=max_series),
        }
        """Counters by name."""
        self.circuits: dict[tuple[str, str], CircuitState] = {}
        """Last known state of each circuit, by (server, replica)."""
        self.healthy: dict[tuple[str, str], bool] = {}
        """Whether the last probe of each (server, replica), or attempt to connect to it, went well."""
        self.tool_totals: dict[str, int] = {}
        """Tools each server lists."""
        self.lost: dict[str, int] = {}
        """Records that could not be worked in, by the class of the error: none, unless something of ours is broken."""
        self.bus: EventBus | None = None
        """The bus these metrics are told events by, if any."""

    @property
    def families(self) -> dict[str, Family]:
        """Every family of series, by what it measures."""
        return {
            "requests": self.requests,
            "tools": self.tools,
            "attempts": self.attempts,
            "probes": self.probes,
            "sessions": self.sessions,
            "served": self.served,
        }

    def note(self, series: Series, duration: float) -> None:
        """Record one `duration` (s) that ends now. One that is negative or not finite counts as 0: the request was."""
        series.append((self.clock(), duration if 0.0 <= duration < inf else 0.0))
        if len(series.pending) >= FOLD_AT:
            self.fold_if_free(series)

    def count(self, name: str, *labels: str) -> None:
        """Count one occurrence in the tally called `name`."""
        tally = self.tallies[name]
        tally.add(labels)
        if len(tally.pending) >= FOLD_AT:
            self.fold_if_free(tally)

    def fold_if_free(self, part: Series | Tally) -> None:
        """Fold `part` unless somebody is folding or reading: then its list may grow on, but nobody waits."""
        if self._lock.acquire(blocking=False):
            try:
                self._work_in(part)
            finally:
                self._lock.release()

    def recorder(self, series: Series) -> Callable[[float], None]:
        """Return what `note` does for one series, with everything looked up beforehand: half its price."""
        append, pending, clock, full = series.append, series.pending, self.clock, FOLD_AT

        def record(duration: float) -> None:
            append((clock(), duration if 0.0 <= duration < inf else 0.0))
            if len(pending) >= full:
                self.fold_if_free(series)

        return record

    def fold(self) -> None:
        """Work in everything pending. Reading does it too; once a second keeps every later read and record short."""
        for _ in self.folding():
            pass

    def folding(self, pause: float = 0.001) -> Iterator[None]:
        """Do what `fold` does, and stop to breathe each time that `pause` seconds went into it."""
        until = perf_counter() + pause
        for part in self._parts():
            if part.pending:
                with self._lock:
                    self._work_in(part)
            if perf_counter() >= until:
                yield
                until = perf_counter() + pause

    def _parts(self) -> Iterator[Series | Tally]:
        for family in self.families.values():
            yield from family
        yield self.loop_lag
        yield from self.tallies.values()

    def _work_in(self, part: Series | Tally) -> None:
        """Fold `part`; the caller holds the lock."""
        waiting = len(part.pending)
        try:
            part.fold()
        except Exception as error:  # boundary: one bad record must cost neither a call nor anybody else's figures
            kind = type(error).__name__
            # What is pending is taken out first, so that the same record never fails twice.
            self.lost[kind] = self.lost.get(kind, 0) + waiting

    def counts(self, name: str) -> dict[tuple[str, ...], int]:
        """Return the counters of the tally called `name`, by label values."""
        tally = self.tallies[name]
        with self._lock:
            self._work_in(tally)
            return tally.counts()

    def observer_failures(self) -> dict[tuple[str, ...], int]:
        """Return how often each observer of the event stream failed, by (observer, error)."""
        failures = self.counts("observer_failures")
        # The bus counts every failure and announces only the first of a kind.
        counted = {} if self.bus is None else self.bus.failures
        return failures | {(clean(observer), clean(error)): times for (observer, error), times in counted.items()}

    def lifetime(self, group: Group) -> DomainStats:
        """Return what `group` did since the start; its rate is that of the last minute."""
        rate = measure(self.span(group, 60.0), "rate", since=self.started) or 0.0
        with self._lock:
            return summarise(
                group.merged(),
                errors=sum(series.histogram.count for series in group.series if series.failed),
                rate=rate,
                last_request=self.last_request(group.series),
                in_flight=len(group.active),
            )

    def recent(self, group: Group, window: float) -> DomainStats:
        """Return what `group` did in the last `window` seconds."""
        span = self.span(group, window)
        return summarise(
            span.histogram,
            errors=span.errors,
            rate=measure(span, "rate", since=self.started) or 0.0,
            last_request=self.last_request(group.series),
            in_flight=len(group.active),
        )

    def span(self, group: Group, seconds: float, *, ago: float = 0.0, reach: float | None = None) -> Span:
        """Return what `group` did in the `seconds` that ended `ago` seconds before now; see `Windows.read`."""
        with self._lock:
            for series in group.series:
                self._work_in(series)
            return group.windows.read(self.clock(), seconds, ago=ago, reach=reach)

    def distribution(self, series: Series) -> tuple[dict[int, int], int, float]:
        """Return the buckets hit (by index into `BOUNDS`), the count and the sum (s) of one series, of one moment."""
        with self._lock:
            self._work_in(series)
            histogram = series.histogram
            return histogram.buckets.copy(), histogram.count, histogram.total

    def minutes(self, group: Group, count: int) -> list[int]:
        """Return how many requests of `group` each of the last `count` whole minutes held; see `Windows.minutes`."""
        with self._lock:
            for series in group.series:
                self._work_in(series)
            return group.windows.minutes(self.clock(), count)

    def last_request(self, several: Iterable[Series]) -> float | None:
        """Return when the latest record of `several` ended, in seconds since the epoch."""
        latest = max((series.last for series in several if series.last is not None), default=None)
        # Counted back from now: a wall clock that was set in between changes nothing.
        return None if latest is None else self.wall() - (self.clock() - latest)
