"""How many attempts a server can take at once, found by trying: additive increase, multiplicative decrease (AIMD).

The rule of TCP's congestion avoidance (Chiu and Jain, 1989; RFC 5681), and its slow start: after a restart the limit
doubles with each round of successes, until the first overload shows that there is something to avoid. Latency gradients
are not used: the latencies of tools are of many kinds, and agents call too seldom for a baseline to mean anything.
"""

from __future__ import annotations

from math import inf

__all__ = ["AdaptiveLimit"]

_DECREASE = 0.7
"""What is left of the limit after an overload (CUBIC's factor, RFC 9438)."""


class AdaptiveLimit:
    """A limit between `least` and `most` (1 or more), which it starts from."""

    def __init__(self, most: int, least: int) -> None:
        self._most = most
        self._least = least
        self._limit = float(most)
        self._decreased_at = -inf
        self._decreases = 0
        self._is_searching = False
        """Whether nothing is known yet but the least: no overload since the restart."""

    def __repr__(self) -> str:
        return f"<AdaptiveLimit [{self.limit} of {self._least} to {self._most}, {self._decreases} decreases]>"

    @property
    def limit(self) -> int:
        """Attempts that may be in flight."""
        return int(self._limit)

    @property
    def is_full(self) -> bool:
        """Whether it has nothing left to find out."""
        return self._limit >= self._most

    def restart(self) -> None:
        """Begin again from the least: what was found before an outage need not hold after it."""
        self._limit = float(self._least)
        self._is_searching = True

    def restore(self) -> None:
        """Back to the most, found or not."""
        self._limit = float(self._most)
        self._is_searching = False

    def succeeded(self, in_flight: int) -> None:
        """An attempt succeeded while `in_flight` were under way, itself included.

        A limit that is hardly used has not been tried, and does not grow.
        """
        if in_flight >= self._limit / 2:
            more = 1.0 if self._is_searching else 1.0 / self._limit
            self._limit = min(self._limit + more, float(self._most))

    def overloaded(self, now: float, rtt: float) -> None:
        """An attempt that took `rtt` seconds ended in overload at `now`.

        Of those that were under way together only the first counts: they tell of the same overload.
        """
        if now - rtt < self._decreased_at:
            return
        self._decreased_at = now
        self._decreases += 1
        self._is_searching = False
        self._limit = max(self._limit * _DECREASE, float(self._least))
