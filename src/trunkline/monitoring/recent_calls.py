"""The calls worth looking at: of each server and domain the latest that failed and the slowest of the last minutes.

A fold over the event stream in bounded memory. Of a call it keeps what an event tells: never arguments or results.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, Final, Literal, TypeAlias

from trunkline.errors import ToolNotFound
from trunkline.events import CallFinished, Event
from trunkline.monitoring.labels import UNKNOWN, clean, is_failure

__all__ = ["RecentCall", "RecentCalls"]

_KEPT: Final = 25
_SLOW_FOR: Final = 600.0
"""Seconds a slow call is remembered."""
_SHELVES: Final = 500
"""Servers and domains whose calls are kept."""

Kind: TypeAlias = Literal["server", "domain"]


@dataclass(frozen=True, slots=True)
class RecentCall:
    """One call that ended."""

    at: float
    """When it ended, in seconds since the epoch."""
    id: str
    tool: str
    """As shown to callers; of other requests than tool calls the method."""
    domain: str
    server: str
    outcome: str
    duration: float
    """Seconds, queueing and retries included."""
    attempts: int
    cache: str
    fallback: str | None
    may_have_run: bool
    trace_id: str | None
    """In hex, as in the traces; None where there is no tracing."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-able mapping."""
        return asdict(self)


class _Shelf:
    def __init__(self) -> None:
        self.failed: deque[RecentCall] = deque(maxlen=_KEPT)
        self.slow: list[tuple[float, int, RecentCall]] = []
        """A heap: the least slow is the first to make room."""


class RecentCalls:
    """An observer of calls that end."""

    kinds: Final = frozenset({CallFinished})

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._numbers = count()
        self._shelves: dict[tuple[Kind, str], _Shelf] = {}

    def __repr__(self) -> str:
        return f"<RecentCalls [{len(self._shelves)} of {_SHELVES} servers and domains]>"

    def __call__(self, event: Event) -> None:
        """Take note of a call that ended, if it is among the worst of its server or domain."""
        if not isinstance(event, CallFinished):
            return
        failed = is_failure(event.outcome)
        call: RecentCall | None = None
        for shelf in self._places(event):
            if failed or len(shelf.slow) < _KEPT or event.duration > shelf.slow[0][0]:
                call = call or _call(event, self._wall())
                self._keep(shelf, call, failed=failed)

    def _places(self, event: CallFinished) -> Iterator[_Shelf]:
        keys: tuple[tuple[Kind, str], ...] = (("server", event.server), ("domain", event.domain))
        for key in keys:
            shelf = self._shelves.get(key)
            if shelf is not None:
                yield shelf
            elif len(self._shelves) < _SHELVES and key[1]:
                yield self._shelves.setdefault(key, _Shelf())

    def _keep(self, shelf: _Shelf, call: RecentCall, *, failed: bool) -> None:
        if failed:
            shelf.failed.append(call)
        entry = (call.duration, next(self._numbers), call)
        if len(shelf.slow) < _KEPT:
            heapq.heappush(shelf.slow, entry)
        elif call.duration > shelf.slow[0][0]:
            heapq.heapreplace(shelf.slow, entry)
        if shelf.slow[0][2].at < call.at - _SLOW_FOR:
            self._forget(shelf)

    def _forget(self, shelf: _Shelf) -> None:
        oldest = self._wall() - _SLOW_FOR
        shelf.slow = [entry for entry in shelf.slow if entry[2].at >= oldest]
        heapq.heapify(shelf.slow)

    def failed(self, kind: Kind, name: str) -> list[RecentCall]:
        """Return the latest calls that failed there, newest first."""
        shelf = self._shelves.get((kind, name))
        return [] if shelf is None else list(reversed(shelf.failed))

    def slow(self, kind: Kind, name: str) -> list[RecentCall]:
        """Return the slowest calls of the last ten minutes there, slowest first."""
        shelf = self._shelves.get((kind, name))
        if shelf is None:
            return []
        self._forget(shelf)
        return [call for _, _, call in sorted(shelf.slow, reverse=True)]


def _call(event: CallFinished, at: float) -> RecentCall:
    # Of the other methods, names are addresses and arguments of sorts; a tool that no server has was made up.
    tool: str = event.name if event.method == "tools/call" else event.method
    return RecentCall(
        at=at,
        id=event.call_id,
        tool=UNKNOWN if event.outcome == ToolNotFound.__name__ else clean(tool),
        domain=clean(event.domain),
        server=clean(event.server),
        outcome=clean(event.outcome),
        duration=event.duration,
        attempts=event.attempts,
        cache=event.cache,
        fallback=None if event.fallback is None else clean(event.fallback),
        may_have_run=event.may_have_run,
        trace_id=event.trace_id,
    )
