"""Where rules read from: the metric store and the last known health, as counts or values by subject. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from trunkline.alerts.timeline import Count, Subject
from trunkline.alerts.upkeep import Upkeep
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.monitoring.buckets import BOUNDS
from trunkline.monitoring.labels import UNKNOWN
from trunkline.monitoring.series import Series
from trunkline.monitoring.store import MetricStore
from trunkline.policy import AlertSubject

__all__ = ["Sources"]

_SERVED: Final = ("hit", "stale", "coalesced")
"""What the cache may say of a call it answered."""


class Sources:
    """Everything a rule may be about."""

    def __init__(self, store: MetricStore, health: Callable[[], HealthReport] | None, upkeep: Upkeep) -> None:
        self._store = store
        self._health = health
        self._upkeep = upkeep

    def counts(self, of: AlertSubject, slower_than: float | None) -> Mapping[Subject, Count]:
        """Count what happened to each subject so far; bad is what failed, or took longer than so many seconds."""
        match of:
            case "cache":
                return self._look_ups()
            case "upkeep":
                return self._upkeep.counts()
            case _:
                return self._durations(of, slower_than)

    def values(self, of: AlertSubject) -> dict[Subject, float]:
        """The present value of each subject: 1 for a bad state, else 0; of the loop, seconds."""
        match of:
            case "circuit":
                report = self._report()
                known = None if report is None else {part.name for part in report.servers}
                return {
                    where: float(state != "closed")
                    for where, state in list(self._store.circuits.items())
                    # A server that was taken out of the configuration leaves its circuit's last state behind.
                    if known is None or where[0] in known
                }
            case "loop":
                report = self._report()
                return {} if report is None else {(): report.loop_lag}
            case _:
                return {subject: float(part.state == "down") for subject, part in self._parts(of)}

    def reasons(self, of: AlertSubject) -> dict[Subject, str]:
        """Why each server or dependency is not well, as far as that is known."""
        return {subject: part.reason for subject, part in self._parts(of)}

    def _report(self) -> HealthReport | None:
        return None if self._health is None else self._health()

    def _parts(self, of: AlertSubject) -> Iterator[tuple[Subject, DependencyHealth]]:
        report = self._report() if of in ("dependency", "health") else None
        if report is None:
            return
        if of == "dependency":
            for part in report.others:
                yield (part.name,), part
        elif of == "health":
            for part in report.servers:
                for replica in part.replicas or (part,):
                    yield (part.name, replica.name if part.replicas else ""), replica

    def _durations(self, of: AlertSubject, slower_than: float | None) -> dict[Subject, Count]:
        store = self._store
        family = {"domain": store.requests, "tool": store.tools, "server": store.attempts}[of]
        # Labels begin with the domain, then the server; a tool's name is the last before its outcome.
        begin, end = (0, 1) if of == "domain" else (1, 3) if of == "tool" else (1, 2)
        bound = None if slower_than is None else bisect_left(BOUNDS, slower_than)
        found: dict[Subject, Count] = {}
        for series in family:
            subject = series.labels[begin:end]
            # What callers made up is nobody's tool.
            if subject[-1] != UNKNOWN:
                found[subject] = _sum(found.get(subject), self._count(series, bound))
        return found

    def _count(self, series: Series, bound: int | None) -> Count:
        buckets, total, seconds = self._store.distribution(series)
        if bound is None:
            return Count(total, total if series.failed else 0, seconds)
        return Count(total, sum(hits for index, hits in buckets.items() if index > bound), seconds)

    def _look_ups(self) -> dict[Subject, Count]:
        found: dict[Subject, Count] = {}
        for (domain, result), times in self._store.counts("cache").items():
            if result == "miss" or result in _SERVED:
                found[domain,] = _sum(found.get((domain,)), Count(times, times if result == "miss" else 0))
        return found


def _sum(one: Count | None, other: Count) -> Count:
    if one is None:
        return other
    return Count(one.total + other.total, one.bad + other.bad, one.seconds + other.seconds)
