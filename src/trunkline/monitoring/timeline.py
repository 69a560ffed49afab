"""The last ten minutes in points of ten seconds, and five of each domain and server: what charts and sparklines draw.

Each point is worked out once, when its ten seconds are over; nobody has to be looking for that. Reads the store.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.series import Group
from trunkline.monitoring.stats import measure, significant
from trunkline.monitoring.store import MetricStore
from trunkline.monitoring.windows import Span

__all__ = ["POINT", "Timeline", "point_of"]

POINT: Final = 10.0
"""Seconds of one point."""
_POINTS: Final = 60
_SPARK: Final = 30
_REACH: Final = _POINTS * POINT
"""Every read takes slots of the same width, so that points fit together."""


class Timeline:
    """Points of everything together, and calls per second of each domain and server."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._next = int(store.started // POINT)
        """The first slot, in units of ten seconds on the store's clock, that has not been taken in."""
        self._points: dict[str, dict[str, float]] = {}
        self._sparks: dict[str, dict[str, deque[float]]] = {"domains": {}, "servers": {}}

    def __repr__(self) -> str:
        return f"<Timeline [{len(self._points)} points, {sum(map(len, self._sparks.values()))} sparklines]>"

    def advance(self) -> None:
        """Take in the slots that are over. Called every ten seconds it costs one read of each domain and server."""
        current = int(self._store.clock() // POINT)
        for slot in range(max(self._next, current - _POINTS), current):
            self._take(slot)
        self._next = current

    def _take(self, slot: int) -> None:
        store = self._store
        ago = store.clock() - (slot + 0.5) * POINT
        total, errors = Histogram(), 0
        for kind, family in (("domains", store.requests), ("servers", store.attempts)):
            before = self._sparks[kind]
            self._sparks[kind] = found = {}
            for name, group in list(family.groups.items()):
                span = self._span(group, ago)
                line = found[name] = before.get(name, deque(maxlen=_SPARK))
                line.append(significant(span.histogram.count / POINT, 2))
                if family is store.requests:
                    total.merge(span.histogram)
                    errors += span.errors
        self._points[self._key(slot)] = point_of(total, errors, POINT)
        for key in list(self._points)[:-_POINTS]:
            del self._points[key]

    def _span(self, group: Group, ago: float) -> Span:
        return self._store.span(group, POINT, ago=ago, reach=_REACH)

    def _key(self, slot: int) -> str:
        """When a slot began, in whole seconds since the epoch."""
        return str(round(self._store.wall() - (self._store.clock() - slot * POINT)))

    def points(self) -> dict[str, dict[str, float]]:
        """Return a point for each ten seconds, oldest first, by when it began; the newest is of the last ten seconds.

        Keys are whole seconds since the epoch, as text. See `point_of` for the values.
        """
        store = self._store
        total, errors = Histogram(), 0
        for group in list(store.requests.groups.values()):
            span = store.span(group, POINT, reach=2 * POINT)
            total.merge(span.histogram)
            errors += span.errors
        # The span holds whole seconds and the one under way.
        now = store.clock()
        watched = max(now - max(int(now) + 1 - POINT, store.started), 1.0)
        return {**self._points, self._key(self._next): point_of(total, errors, watched)}

    def spark(self, kind: str, name: str) -> list[float]:
        """Return calls per second in each ten seconds that are over, at most five minutes of them, oldest first."""
        return list(self._sparks[kind].get(name, ()))

    def minute(self, group: Group) -> Span:
        """Return what `group` did in the last minute, give or take some seconds: in whole slots, which is cheap."""
        return self._store.span(group, 60.0, reach=_REACH)

    def rate(self, span: Span) -> float:
        """Return requests per second over a span of this timeline."""
        return significant(measure(span, "rate", since=self._store.started) or 0.0, 3)


def point_of(histogram: Histogram, errors: int, seconds: float) -> dict[str, Any]:
    """Return `rate` and `errors` (both per second) and, where there was any request, `p50`, `p95` and `p99` (s)."""
    told = {"rate": significant(histogram.count / seconds, 3), "errors": significant(errors / seconds, 3)}
    if histogram.count:
        told |= {f"p{q}": significant(histogram.quantile(q / 100), 2) for q in (50, 95, 99)}
    return told
