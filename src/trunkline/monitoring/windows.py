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

from trunkline.monitoring.histogram import Histogram, packed_count

__all__ = ["TIERS", "Span", "Windows"]

TIERS: Final = ((1, 60), (10, 60), (60, 60), (3600, 48))
"""(seconds per slot, slots kept) of each ring, finest first. Each width divides the next."""

_MINUTES: Final = 2

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

    def __init__(self, number: int, histogram: Histogram, errors: int = 0) -> None:
        self.number = number
        self.histogram = histogram
        self.errors = errors


class _Ring:
    """The latest `size` slots of one width: the newest open, the others sealed as bytes.

    What is in the open slot reaches the coarser ring when it is sealed, not before: while work goes on, each record is
    counted once, in the finest ring. The coarsest, which is told once a minute, has no open slot: that saves memory.
    """

    __slots__ = ("_newest", "_open", "_sealed", "coarser", "size", "width")

    def __init__(self, width: int, size: int, coarser: _Ring | None) -> None:
        self.width = width
        self.size = size
        self.coarser = coarser
        self._newest = 0
        self._open: _Slot | None = None
        self._sealed: list[bytes | None] = []

    def add(self, number: int, histogram: Histogram, errors: int, *, keep: bool = False) -> None:
        """Count `histogram` in slot `number`; with `keep` it may become the slot's own, and grow later."""
        slot = self._open
        self._newest = max(self._newest, number)
        if number < self._newest or self.coarser is None:
            self._add_sealed(number, histogram, errors)
            return
        if slot is not None and number == slot.number:
            slot.histogram.merge(histogram)
            slot.errors += errors
            return
        if slot is not None:
            self._seal(slot)
            self._pass_on(slot.number, slot.histogram, slot.errors)
        if not keep:
            own = Histogram()
            own.merge(histogram)
            histogram = own
        self._open = _Slot(number, histogram, errors)

    def _add_sealed(self, number: int, histogram: Histogram, errors: int) -> None:
        if number > self._newest - self.size:
            slot = self._reopen(number)
            slot.histogram.merge(histogram)
            slot.errors += errors
            self._seal(slot)
        # Its slot has been passed on, or has fallen out.
        self._pass_on(number, histogram, errors)

    def _pass_on(self, number: int, histogram: Histogram, errors: int) -> None:
        if self.coarser is not None:
            self.coarser.add(number * self.width // self.coarser.width, histogram, errors)

    def _seal(self, slot: _Slot) -> None:
        # Most series are idle most of the time, and never need it.
        if not self._sealed:
            self._sealed = [None] * self.size
        # Number, errors and histogram in one object: as a tuple, a slot would take twice the memory.
        self._sealed[slot.number % self.size] = _STAMP.pack(slot.number, slot.errors) + slot.histogram.pack()

    def _reopen(self, number: int) -> _Slot:
        slot = _Slot(number, Histogram())
        sealed = self._found(number)
        if sealed is not None:
            slot.errors = _STAMP.unpack_from(sealed)[1]
            slot.histogram.merge_packed(sealed, _STAMP.size)
        return slot

    def _found(self, number: int) -> bytes | None:
        """The sealed slot of that number, if there is one."""
        sealed = self._sealed[number % self.size] if self._sealed else None
        return sealed if sealed is not None and _STAMP.unpack_from(sealed)[0] == number else None

    def _slots(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """The sealed slots `first` to `last`, with their numbers."""
        for number in range(max(first, last - self.size + 1), last + 1) if self._sealed else ():
            sealed = self._found(number)
            if sealed is not None:
                yield number, sealed

    def collect(self, first: int, last: int, histogram: Histogram) -> int:
        """Add the sealed slots `first` to `last` to `histogram`; return their errors."""
        errors = 0
        for _, sealed in self._slots(first, last):
            errors += _STAMP.unpack_from(sealed)[1]
            histogram.merge_packed(sealed, _STAMP.size)
        return errors

    def counted(self, first: int, last: int, counts: list[int]) -> None:
        """Add how much the sealed slots `first` to `last` hold to `counts`, which begins with `first`."""
        for number, sealed in self._slots(first, last):
            counts[number - first] += packed_count(sealed, _STAMP.size)

    def unsealed(self, width: int) -> tuple[int, _Slot] | None:
        """The open slot, after its number among slots of `width` seconds."""
        slot = self._open
        return None if slot is None else (slot.number * self.width // width, slot)


class Windows:
    """The recent past of one domain, tool or server. Some 45 KiB where it is busy."""

    __slots__ = ("_newest", "_rings")

    def __init__(self) -> None:
        rings: list[_Ring] = []
        for width, size in reversed(TIERS):
            rings.insert(0, _Ring(width, size, rings[0] if rings else None))
        self._rings = tuple(rings)
        self._newest = 0

    def add(self, records: Sequence[tuple[float, float]], *, failed: bool) -> list[Histogram]:
        """Count `records`, each (when it ended, how long it took), in seconds; return histograms of all of them.

        They come roughly in order of time: those of several threads may be a little out of it.
        """
        last = int(records[-1][0] // 1)
        newest = self._newest = max(self._newest, last)
        if last == newest and int(records[0][0] // 1) == last:
            # Folded every second, or very busy: the usual case, and the one that must be cheap.
            histogram = Histogram([duration for _, duration in records])
            self._rings[0].add(last, histogram, histogram.count if failed else 0, keep=True)
            return [histogram]
        parts = []
        for level, number, durations in self._grouped(records):
            histogram = Histogram(durations)
            parts.append(histogram)
            # Whoever called is done with the parts before the next call.
            self._rings[level].add(number, histogram, histogram.count if failed else 0, keep=True)
        return parts

    def _grouped(self, records: Sequence[tuple[float, float]]) -> Iterator[tuple[int, int, list[float]]]:
        """Sort records into slots of the finest ring that still reaches back to them.

        This bounds the work: a batch from a quiet hour makes some hundred slots, not one per record.
        """
        groups: dict[tuple[int, int], list[float]] = {}
        start = end = 0
        durations: list[float] = []
        for at, duration in records:
            if not start <= at < end:
                second = int(at // 1)
                age = self._newest - second
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
        for _, slot in self._unsealed(ring, first, last):
            histogram.merge(slot.histogram)
            errors += slot.errors
        return Span(histogram, errors, float(first * ring.width), min(now, float((last + 1) * ring.width)))

    def minutes(self, now: float, count: int) -> list[int]:
        """Return how many records each of the `count` whole minutes before the present one held, oldest first.

        Minutes begin where the clock says, and there are 60 of them at most.
        """
        ring = self._rings[_MINUTES]
        last = int(now // ring.width) - 1
        first = last - count + 1
        counts = [0] * count
        ring.counted(first, last, counts)
        for number, slot in self._unsealed(ring, first, last):
            counts[number - first] += slot.histogram.count
        return counts

    def _unsealed(self, ring: _Ring, first: int, last: int) -> Iterator[tuple[int, _Slot]]:
        """The open slots of `ring` and of the finer ones, which have not reached it, as far as they lie in the span."""
        for finer in self._rings[: self._rings.index(ring) + 1]:
            found = finer.unsealed(ring.width)
            if found is not None and first <= found[0] <= last:
                yield found
