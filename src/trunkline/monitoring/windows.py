"""What happened lately: rings of one-second, ten-second, one-minute and one-hour slots in bounded memory.

A slot that time has left behind is packed to a few dozen bytes; a record that arrives late still finds its slot.
Fed by series when they fold; read by statistics and trends. Time is an argument.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from trunkline.monitoring.histogram import Histogram

__all__ = ["TIERS", "Span", "Windows"]

TIERS: Final = ((1, 60), (10, 60), (60, 60), (3600, 48))
"""(seconds per slot, slots kept) of each ring, finest first. Each width divides the next."""

_STAMP: Final = struct.Struct("<qI")


@dataclass(frozen=True, slots=True)
class Span:
    """What one stretch of time held."""

    histogram: Histogram
    errors: int
    start: float
    """Seconds on the collector's clock, as `end`."""
    end: float


class _Slot:
    __slots__ = ("errors", "histogram", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.errors = 0
        self.histogram = Histogram()


class _Ring:
    """The latest `size` slots of one width: the newest open, the others sealed as bytes."""

    __slots__ = ("_open", "_sealed", "size", "width")

    def __init__(self, width: int, size: int) -> None:
        self.width = width
        self.size = size
        self._open: _Slot | None = None
        self._sealed: list[bytes | None] = []

    def add(self, number: int, histogram: Histogram, errors: int) -> None:
        slot = self._open
        if slot is None or number > slot.number:
            if slot is not None:
                self._seal(slot)
            slot = self._open = _Slot(number)
        elif number <= slot.number - self.size:
            return
        late = number < slot.number
        if late:
            slot = self._reopen(number)
        slot.histogram.merge(histogram)
        slot.errors += errors
        if late:
            self._seal(slot)

    def _seal(self, slot: _Slot) -> None:
        # Most series are idle most of the time, and never need it.
        if not self._sealed:
            self._sealed = [None] * self.size
        # Number, errors and histogram in one object: as a tuple, a slot would take twice the memory.
        self._sealed[slot.number % self.size] = _STAMP.pack(slot.number, slot.errors) + slot.histogram.pack()

    def _reopen(self, number: int) -> _Slot:
        slot = _Slot(number)
        slot.errors = self._unseal(number, slot.histogram)
        return slot

    def _unseal(self, number: int, histogram: Histogram) -> int:
        """Add a sealed slot, if there is one of that number, to `histogram`; return its errors."""
        sealed = self._sealed[number % self.size] if self._sealed else None
        if sealed is None:
            return 0
        found, errors = _STAMP.unpack_from(sealed)
        if found != number:
            return 0
        histogram.merge_packed(sealed[_STAMP.size :])
        return int(errors)

    def collect(self, first: int, last: int, histogram: Histogram) -> int:
        """Add slots `first` to `last` to `histogram`; return their errors."""
        errors = 0
        for number in range(max(first, last - self.size + 1), last + 1):
            errors += self._unseal(number, histogram)
        if self._open is not None and first <= self._open.number <= last:
            histogram.merge(self._open.histogram)
            errors += self._open.errors
        return errors


class Windows:
    """The recent past of one domain, tool or server. At most some 45 KiB, however busy it is."""

    __slots__ = ("_newest", "_rings")

    def __init__(self) -> None:
        self._rings = tuple(_Ring(width, size) for width, size in TIERS)
        self._newest = 0

    def add(self, records: Sequence[tuple[float, float]], *, failed: bool) -> Histogram:
        """Count `records`, each (when it ended, how long it took), in seconds; return the histogram of all of them.

        They come roughly in order of time: those of several threads may be a little out of it.
        """
        total = Histogram()
        for level, number, durations in self._grouped(records):
            histogram = Histogram(durations)
            total.merge(histogram)
            errors = histogram.count if failed else 0
            second = number * TIERS[level][0]
            for ring in self._rings[level:]:
                ring.add(second // ring.width, histogram, errors)
        return total

    def _grouped(self, records: Sequence[tuple[float, float]]) -> Iterator[tuple[int, int, list[float]]]:
        """Sort records into slots of the finest ring that still reaches back to them.

        This bounds the work: a batch from a quiet hour makes some hundred slots, not one per record.
        """
        last = int(records[-1][0] // 1)
        newest = self._newest = max(self._newest, last)
        if last == newest and int(records[0][0] // 1) == last:
            # Folded every second, or very busy: the usual case, and the one that must be cheap.
            yield 0, last, [duration for _, duration in records]
            return
        groups: dict[tuple[int, int], list[float]] = {}
        start = end = 0
        durations: list[float] = []
        for at, duration in records:
            if not start <= at < end:
                second = int(at // 1)
                age = newest - second
                level = 0 if age < 60 else 1 if age < 600 else 2 if age < 3600 else 3
                width = TIERS[level][0]
                start = second // width * width
                end = start + width
                durations = groups.setdefault((level, second // width), [])
            durations.append(duration)
        for (level, number), durations in groups.items():
            yield level, number, durations

    def read(self, now: float, seconds: float, *, ago: float = 0.0, reach: float | None = None) -> Span:
        """Return what happened in the `seconds` that ended `ago` seconds before `now`.

        Read from the finest ring that reaches back `reach` seconds (by default to the span's start), in whole slots:
        the span starts at a slot's edge and ends with `now`, or with the slot that `now - ago` lies in. Spans that
        are to be compared take the same `reach`, or they would be cut at different edges.
        """
        far = ago + seconds if reach is None else reach
        ring = next((ring for ring in self._rings if ring.width * ring.size >= far), self._rings[-1])
        last = int((now - ago) // ring.width)
        first = last - min(ceil(seconds / ring.width), ring.size) + 1
        histogram = Histogram()
        errors = ring.collect(first, last, histogram)
        return Span(histogram, errors, float(first * ring.width), min(now, float((last + 1) * ring.width)))
