"""The memory tier: as many entries as fit into so many bytes, by S3-FIFO. Pure; knows no clock and no freshness.

Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023): what is new waits in a small queue, and only
what is asked for again there gets into the main one. What left the small queue unasked leaves its name in a ghost, and
gets into the main queue when it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["OVERHEAD", "Memory"]

ValueT = TypeVar("ValueT")

OVERHEAD = 900
"""Bytes that an entry costs beside its body, its place in the queues and the ghost included: measured by a test."""

_SMALL = 0.1
"""The small queue's share of the bytes."""
_MOST = 3
"""Times being asked for counts at most."""


class _Place(Generic[ValueT]):
    """An entry in a queue."""

    __slots__ = ("asked", "cost", "value")

    def __init__(self, value: ValueT, cost: int) -> None:
        self.value = value
        self.cost = cost
        self.asked = 0


class Memory(Generic[ValueT]):
    """Values by digest, within `limit` bytes by the costs they were given."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Bytes, as counted."""
        self.evictions = 0
        """Values that had to make room."""
        self._small: OrderedDict[bytes, _Place[ValueT]] = OrderedDict()
        self._small_used = 0
        self._main: OrderedDict[bytes, _Place[ValueT]] = OrderedDict()
        self._ghost: OrderedDict[bytes, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Memory [{len(self)} entries, {self.used} of {self.limit} bytes, {self.evictions} evicted]>"

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def get(self, digest: bytes) -> ValueT | None:
        """The value, which has now been asked for once more; None where there is none."""
        place = self._main.get(digest) or self._small.get(digest)
        if place is None:
            return None
        if place.asked < _MOST:
            place.asked += 1
        return place.value

    def put(self, digest: bytes, value: ValueT, cost: int) -> bool:
        """Keep a value, in the place of an older one under the same digest; False where it is larger than everything.

        Others make room for it; one that grew in its place may be among them.
        """
        if cost > self.limit:
            self.discard(digest)
            return False
        place = self._main.get(digest) or self._small.get(digest)
        if place is not None:
            self._charge(digest, cost - place.cost)
            place.value, place.cost = value, cost
            while self.used > self.limit:
                self._make_room()
            return True
        # Before it is there, or it would be the first to go where all others have been asked for.
        while self.used + cost > self.limit:
            self._make_room()
        if digest in self._ghost:
            del self._ghost[digest]
            self._main[digest] = _Place(value, cost)
        else:
            self._small[digest] = _Place(value, cost)
            self._small_used += cost
        self.used += cost
        return True

    def discard(self, digest: bytes) -> None:
        """Drop a value, if it is there."""
        place = self._main.get(digest) or self._small.get(digest)
        if place is not None:
            self._charge(digest, -place.cost)
            (self._small if digest in self._small else self._main).pop(digest)

    def clear(self) -> None:
        """Drop everything."""
        for queue in (self._small, self._main, self._ghost):
            queue.clear()
        self.used = self._small_used = 0

    def resize(self, limit: int) -> None:
        """Have another limit from now on; what does not fit any longer makes room."""
        self.limit = limit
        while self.used > limit:
            self._make_room()

    def _charge(self, digest: bytes, cost: int) -> None:
        self.used += cost
        if digest in self._small:
            self._small_used += cost

    def _make_room(self) -> None:
        if self._small and (self._small_used >= _SMALL * self.limit or not self._main):
            self._leave_small()
        else:
            self._leave_main()

    def _leave_small(self) -> None:
        digest, place = self._small.popitem(last=False)
        self._small_used -= place.cost
        # Once is enough: where twice is asked for, 0.3 % fewer of Belady's hits are had (benchmarks/eviction.py).
        if place.asked:
            place.asked = 0
            self._main[digest] = place
            return
        self.used -= place.cost
        self.evictions += 1
        self._ghost[digest] = None
        # As many names as the main queue has entries, as in the paper; a few while that is still empty.
        while len(self._ghost) > max(len(self._main), len(self._small), 1):
            self._ghost.popitem(last=False)

    def _leave_main(self) -> None:
        digest, place = self._main.popitem(last=False)
        if place.asked:
            place.asked -= 1
            self._main[digest] = place
            return
        self.used -= place.cost
        self.evictions += 1
