"""What happened in the registry: kept for people, told to subscribers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from trunkline.registry.availability import HistoryEntry, RegistryChange
from trunkline.registry.wording import shortened

__all__ = ["Chronicle"]

_KEPT: Final = 1_000
_AT_ONCE: Final = 20
"""Entries about single tools that one change may write: one server must not push out what is known of the others."""


class Chronicle:
    """The last 1,000 entries, and everyone who wants to hear of changes."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """`wall` gives seconds since the epoch."""
        self._wall = wall
        self._entries: deque[HistoryEntry] = deque(maxlen=_KEPT)
        self._subscribers: dict[object, Callable[[RegistryChange], None]] = {}
        self.failures = 0
        """How often a subscriber raised."""

    def __repr__(self) -> str:
        return f"<Chronicle [{len(self._entries)} entries, {len(self._subscribers)} subscribers]>"

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """All entries kept, the oldest first."""
        return tuple(self._entries)

    def note(self, server: str, what: str, detail: str = "", *, tool: str | None = None) -> None:
        """Add one entry."""
        self._entries.append(HistoryEntry(self._wall(), server, tool, what, shortened(detail, 500)))

    def note_tools(self, what: str, tools: Iterable[tuple[str, str, str]]) -> None:
        """Add one entry for each `(server, tool, detail)`; the last says that there are more than fit."""
        remaining = iter(tools)
        for server, tool, detail in islice(remaining, _AT_ONCE):
            self.note(server, what, detail, tool=tool)
        for server, count in _counted(remaining):
            self.note(server, what, f"and {count} more")

    def subscribe(self, callback: Callable[[RegistryChange], None]) -> Callable[[], None]:
        """Tell `callback` of every change; returns a function that ends this."""
        # Methods of one object compare equal: what is ended is this subscription, not one that looks like it.
        subscription = object()
        self._subscribers[subscription] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(subscription, None)

        return unsubscribe

    def tell(self, change: RegistryChange) -> None:
        """Tell every subscriber; one that raises is counted and costs nobody anything."""
        for callback in tuple(self._subscribers.values()):
            try:
                callback(change)
            except Exception:  # boundary: a subscriber's bug must not stop a listing from being kept
                self.failures += 1


def _counted(rest: Iterable[tuple[str, str, str]]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for server, _, _ in rest:
        counts[server] = counts.get(server, 0) + 1
    return list(counts.items())
