"""One lost connection is one failure, however many calls were in flight on it.

Shared by the circuit, which judges servers, and by the retry budget, which pays for retries.
"""

from __future__ import annotations

from collections import deque

__all__ = ["REMEMBERED", "Incidents"]

REMEMBERED = 8
"""Incidents kept in mind: the victims of one incident report within moments of each other."""


class Incidents:
    """The latest few incidents, told apart by identity: two that merely look the same are two."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        # The objects themselves, not their ids: an id is used again once its object is gone.
        self._latest: deque[object] = deque(maxlen=REMEMBERED)

    def __repr__(self) -> str:
        return f"<Incidents [{len(self._latest)} of {REMEMBERED} remembered]>"

    def __contains__(self, incident: object) -> bool:
        return any(known is incident for known in self._latest)

    def add(self, incident: object | None) -> None:
        """Remember `incident`, forgetting the oldest when there are too many; None is no incident."""
        if incident is not None:
            self._latest.append(incident)

    def clear(self) -> None:
        """Forget all of them."""
        self._latest.clear()
