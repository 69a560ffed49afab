"""One series per set of labels, recorded by a single `list.append`, and families of series with a cap.

The hot path appends (when, how long) to a list; buckets, sums and windows are worked out when somebody reads, or when
the list has grown long. `list.append` is atomic, so recording needs no lock; folding does, and its caller holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.labels import OTHER, clean, clean_all, is_failure, outcome_class
from trunkline.monitoring.places import Places
from trunkline.monitoring.windows import Windows

__all__ = ["FOLD_AT", "Family", "Group", "Series"]

FOLD_AT: Final = 1024
"""Pending records from which recording folds: about a millisecond of work at worst, once in so many records."""


class Series:
    """Everything recorded under one set of labels since the start."""

    __slots__ = ("append", "failed", "histogram", "labels", "last", "pending", "windows")

    def __init__(self, labels: tuple[str, ...], windows: Windows, *, failed: bool = False) -> None:
        self.labels = labels
        self.failed = failed
        """Whether what is recorded here counts as errors."""
        self.windows = windows
        self.histogram = Histogram()
        """What has been folded."""
        self.last: float | None = None
        """When the latest folded record ended, in seconds on the collector's clock."""
        self.pending: list[tuple[float, float]] = []
        self.append: Callable[[tuple[float, float]], None] = self.pending.append
        """Record one (when it ended, how long it took), both in seconds."""

    def __repr__(self) -> str:
        return f"<Series {'/'.join(self.labels)} [{self.histogram.count} folded, {len(self.pending)} pending]>"

    def fold(self) -> None:
        """Work pending records into histogram and windows. The caller holds the store's lock."""
        pending = self.pending
        size = len(pending)
        if not size:
            return
        records = pending[:size]
        # The list stays the same object: `append` is bound to it, and others may be appending right now.
        del pending[:size]
        for part in self.windows.add(records, failed=self.failed):
            self.histogram.merge(part)
        latest = records[-1][0]
        self.last = latest if self.last is None else max(self.last, latest)


class Group:
    """The series of one domain, tool or server, and what is under way there."""

    __slots__ = ("active", "calls", "series", "windows")

    def __init__(self) -> None:
        self.windows = Windows()
        self.series: list[Series] = []
        self.active: set[object] = set()
        """Requests under way: a set, since adding and discarding are atomic and counting up and down is not."""
        self.calls: set[str] = set()
        """Ids of the calls under way."""

    def merged(self) -> Histogram:
        """Return everything folded since the start, whatever its outcome."""
        total = Histogram()
        for series in self.series:
            total.merge(series.histogram)
        return total


class Family:
    """All series of one metric, at most `limit` of them, grouped by one of their labels.

    The last label is the outcome. Beyond the limit, records go to series labelled `_other`, of which there are at most
    three (ok, cancelled, error) or, with `keeps_group`, three for each group that was known before: a flood of
    operations in one domain is still counted there. A group has windows, which take memory: without a place for them
    (at most `most` of `places`), a new name's series belong to the group `_other`.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        group_by: int,
        limit: int,
        places: Places,
        most: int | None = None,
        keeps_group: bool = False,
    ) -> None:
        self.labels = labels
        self.limit = limit
        self.groups: dict[str, Group] = {}
        self._places = places
        self._most = limit if most is None else min(limit, most)
        self._group_by = group_by
        self._keeps_group = keeps_group
        self._series: dict[tuple[str, ...], Series] = {}
        self.known = self._series.get
        """Return the series for some labels if it is open, else None."""
        self._overflow: dict[tuple[str, ...], Series] = {}
        """By (group or `_other`, class of the outcome)."""

    def __repr__(self) -> str:
        return f"<Family {'/'.join(self.labels)} [{len(self)} of {self.limit} series, {self.overflowed} overflowed]>"

    def __len__(self) -> int:
        return len(self._series) + len(self._overflow)

    def __iter__(self) -> Iterator[Series]:
        return iter([*self._series.values(), *self._overflow.values()])

    @property
    def overflowed(self) -> int:
        """Records that found no series of their own."""
        return sum(series.histogram.count + len(series.pending) for series in list(self._overflow.values()))

    @property
    def ungrouped(self) -> int:
        """Records of names that found no place among the groups, and are in the windows of `_other` alone."""
        group = self.groups.get(OTHER)
        return 0 if group is None else sum(each.histogram.count + len(each.pending) for each in list(group.series))

    def find(self, labels: tuple[str, ...]) -> Series:
        """Return the series for `labels`, opening it if need be. Never fails, never waits."""
        series = self._series.get(labels)
        return series if series is not None else self._admit(labels)

    def group(self, name: str) -> Group:
        """Return the group called `name`, opening it if need be; the group `_other` when there are too many."""
        group = self.groups.get(name)
        if group is not None:
            return group
        name = clean(name)
        if name not in self.groups and name != OTHER:
            held = len(self.groups)
            if held >= self._most or not self._places.take(held):
                name = OTHER
        # `setdefault` is atomic: of two threads that open a group at once, both get the same.
        return self.groups.setdefault(name, Group())

    def _admit(self, raw: tuple[str, ...]) -> Series:
        labels = clean_all(raw)
        if labels is not raw:
            found = self._series.get(labels)
            if found is not None:
                return found
        if len(self._series) < self.limit:
            return self._open(self._series, labels, labels)
        kept = labels[self._group_by]
        if not self._keeps_group or kept not in self.groups:
            kept = OTHER
        # The way of every record in a flood of names: short.
        where = (kept, outcome_class(labels[-1]))
        found = self._overflow.get(where)
        if found is not None:
            return found
        rest = [OTHER] * (len(labels) - 1)
        rest[self._group_by] = kept
        return self._open(self._overflow, where, (*rest, where[1]))

    def _open(self, shelf: dict[tuple[str, ...], Series], key: tuple[str, ...], labels: tuple[str, ...]) -> Series:
        group = self.group(labels[self._group_by])
        new = Series(labels, group.windows, failed=is_failure(labels[-1]))
        series = shelf.setdefault(key, new)
        if series is new:
            group.series.append(series)
        return series
