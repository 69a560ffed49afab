"""A sparse histogram of durations that can be added to another, asked for quantiles, and packed small.

Only buckets that were hit take memory. Below series and windows; knows nothing of labels or time.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from trunkline.monitoring.buckets import BOUNDS

__all__ = ["Histogram", "packed_count"]

_HEAD: Final = struct.Struct("<IdddB")

_BYTE_MAX: Final = 255
_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""Codes of `array` by the bytes that a count takes in a packed histogram."""


class Histogram:
    """Counts of durations by bucket, with their sum and extremes.

    Values are seconds, finite and not negative; whoever records sees to that.
    """

    __slots__ = ("buckets", "count", "longest", "shortest", "total")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.count = 0
        self.total = 0.0
        """Seconds, all values added up."""
        self.shortest = inf
        """Seconds; infinite while nothing is counted."""
        self.longest = 0.0
        self.buckets: dict[int, int] = {}
        """How many values fell into each bucket, by index into `BOUNDS`. Sparse."""
        if values:
            self.add(values)

    def __repr__(self) -> str:
        return f"<Histogram [{self.count} values, {len(self.buckets)} buckets, mean {self.mean:.6g} s]>"

    @property
    def mean(self) -> float:
        """Seconds; 0 while nothing is counted."""
        return self.total / self.count if self.count else 0.0

    def add(self, values: Iterable[float]) -> None:
        """Count `values`, in any order."""
        # Whatever number it was that somebody recorded, here it becomes a float.
        ordered = sorted(map(float, values))
        size = len(ordered)
        if not size:
            return
        self.count += size
        self.total += sum(ordered)
        self.shortest = min(self.shortest, ordered[0])
        self.longest = max(self.longest, ordered[-1])
        buckets = self.buckets
        start = 0
        # One search per bucket hit instead of one per value: half the cost where values repeat, as they do.
        while start < size:
            index = bisect_left(BOUNDS, ordered[start])
            end = start + 1
            if end < size:
                end = bisect_right(ordered, BOUNDS[index], end) if index < len(BOUNDS) else size
            buckets[index] = buckets.get(index, 0) + end - start
            start = end

    def merge(self, other: Histogram) -> None:
        """Count everything `other` counted."""
        if not other.count:
            return
        buckets = self.buckets
        if self.count:
            for index, hits in other.buckets.items():
                buckets[index] = buckets.get(index, 0) + hits
        else:
            buckets.update(other.buckets)
        self.count += other.count
        self.total += other.total
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)

    def quantile(self, q: float) -> float:
        """Return the duration (s) that a share `q` (0 to 1) of the values does not exceed; 0 while nothing is counted.

        Interpolates geometrically within one bucket, whose ends the extremes tighten. A bucket is at most 9 % wide,
        which bounds the error for any values; over smooth distributions it stays below 1 %.
        """
        if not self.count:
            return 0.0
        rank = q * self.count
        below = index = hits = 0
        for index in sorted(self.buckets):
            hits = self.buckets[index]
            if below + hits >= rank:
                break
            below += hits
        lower = max(BOUNDS[index - 1] if index else 0.0, self.shortest)
        upper = min(BOUNDS[index] if index < len(BOUNDS) else inf, self.longest)
        share = max(0.0, (rank - below) / hits)
        return lower * (upper / lower) ** share if lower > 0 else upper * share

    def cumulative(self, positions: Sequence[int]) -> list[int]:
        """Return, for each ascending index into `BOUNDS`, how many values lie at or below that bound. Exact."""
        items = sorted(self.buckets.items())
        counts = []
        below = 0
        start = 0
        for position in positions:
            while start < len(items) and items[start][0] <= position:
                below += items[start][1]
                start += 1
            counts.append(below)
        return counts

    def pack(self) -> bytes:
        """Return this histogram in some 30 bytes plus two to nine, by how busy it was, for each bucket hit."""
        indices = bytes(self.buckets)
        hits = list(self.buckets.values())
        most = max(hits, default=0)
        # Read back by length: all counts are as wide as the largest needs.
        counts = bytes(hits) if most <= _BYTE_MAX else array(_code(most), hits).tobytes()
        return _HEAD.pack(self.count, self.total, self.shortest, self.longest, len(indices)) + indices + counts

    def merge_packed(self, packed: bytes, offset: int = 0) -> None:
        """Count everything counted by the histogram that was packed into `packed`, from byte `offset` on."""
        count, total, shortest, longest, size = _HEAD.unpack_from(packed, offset)
        if not size:
            return
        start = offset + _HEAD.size
        tail = packed[start + size :]
        self.count += count
        self.total += total
        self.shortest = min(self.shortest, shortest)
        self.longest = max(self.longest, longest)
        buckets = self.buckets
        code = _CODES[len(tail) // size]
        hits: Sequence[int] = tail if len(tail) == size else array(code, tail)
        for index, number in zip(packed[start : start + size], hits, strict=True):
            buckets[index] = buckets.get(index, 0) + number


def _code(most: int) -> str:
    return next(code for size, code in _CODES.items() if most < 1 << 8 * size)


def packed_count(packed: bytes, offset: int = 0) -> int:
    """Return how many values the histogram packed into `packed`, from byte `offset` on, has counted."""
    return int(_HEAD.unpack_from(packed, offset)[0])
