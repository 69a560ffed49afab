"""One lost connection is one failure, however many calls were in flight on it.

Shared by the circuit, which judges servers, and by the retry budget, which pays for retries.
"""

from __future__ import annotations

from collections import deque
from math import inf

__all__ = ["REMEMBERED", "SHARE", "Incidents", "Wave", "Waves"]

REMEMBERED = 8
"""Incidents kept in mind: the victims of one incident report within moments of each other."""

SHARE = 5
"""One retry of a wave is free for every so many answers since the last wave: what nobody pays for then stays below a
fifth of the calls, and the promise of 1.25 attempts per call (R8) holds whatever fails."""


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


class Wave:
    """Requests of one HTTP session that failed together: one failure to a circuit, and to a budget within limits."""

    __slots__ = ("_shares",)

    def __init__(self, shares: int) -> None:
        self._shares = shares

    def __repr__(self) -> str:
        return f"<Wave [{self._shares} more may share what one of it paid]>"

    def share(self) -> bool:
        """Share what one of the wave has paid; whether that is still to be had."""
        self._shares -= 1
        return self._shares >= 0


class Waves:
    """Tells which failed requests of one HTTP session are one incident.

    Such a session outlives any number of connections. When a server is restarted, all requests under way fail at once,
    and that is one failure. A server that fails whatever is sent to it, in waves of as many requests as there are
    callers, has the same look at every wave; but it answers nothing in between, and what was answered is what
    entitles to share the price of a retry.
    """

    __slots__ = ("_answered", "_began", "_latest")

    def __init__(self) -> None:
        self._latest = Wave(0)
        self._began = -inf
        self._answered = 0

    def __repr__(self) -> str:
        return f"<Waves [{self._answered} answered since the last, {self._latest!r}]>"

    def answered(self) -> None:
        """Note one answer, of whatever content."""
        self._answered += 1

    def of(self, sent: float, now: float) -> Wave:
        """Return the wave that the failure of a request is part of; `sent` and `now` are seconds of one clock.

        Requests that were under way together when the first of them failed are one.
        """
        if sent > self._began:
            self._latest, self._began, self._answered = Wave(self._answered // SHARE), now, 0
        return self._latest
