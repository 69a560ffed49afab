"""How many attempts a server is sent in a time: a leaky bucket that remembers one number.

The generic cell rate algorithm (ITU-T I.371, annex A): instead of tokens it keeps the moment at which the next attempt
would be due if all came evenly; whoever comes earlier by no more than the burst goes at once.
"""

from __future__ import annotations

__all__ = ["RateLimit"]


class RateLimit:
    """`per_second` attempts in the long run, `burst` at once. Times are seconds of a monotonic clock."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1.0 / per_second
        self._tolerance = self._interval * (burst - 1)
        self._burst = burst
        self._due = 0.0
        self._refused = 0

    def __repr__(self) -> str:
        return f"<RateLimit [{1.0 / self._interval:g} a second, {self._burst} at once, {self._refused} refused]>"

    def expected_wait(self, now: float) -> float:
        """Seconds until the turn of one who comes now; 0.0 for at once."""
        return max(0.0, self._due - self._tolerance - now)

    def reserve(self, now: float, until: float) -> float | None:
        """Take a turn; returns the seconds to wait for it.

        None, and nothing is taken, when the turn would come at `until` or later.
        """
        wait = self.expected_wait(now)
        if wait > 0 and now + wait >= until:
            self._refused += 1
            return None
        self._due = max(self._due, now) + self._interval
        return wait

    def cancel(self, now: float) -> None:
        """Give back a turn that will not be used; those behind it keep the waits they were told."""
        self._due = max(now, self._due - self._interval)
