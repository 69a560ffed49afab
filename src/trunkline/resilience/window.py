"""What happened lately: outcomes of the last N seconds, counted in a ring of buckets.

Read by the circuit's decision to open. Memory and work per outcome are constant, whatever the rate.
"""

from __future__ import annotations

__all__ = ["BUCKETS", "Window"]

BUCKETS = 10
"""An outcome is forgotten after at least nine and at most ten tenths of the window."""


class Window:
    """Successes, failures and slow answers of the last `seconds`, expiring by themselves.

    The three totals are as of the last `advance` or `record`. A clock that stands still or steps back counts into
    the newest bucket: nothing is forgotten early and nothing is counted twice. (Totals are kept by subtracting what
    leaves, as in Resilience4j's sliding windows.)
    """

    __slots__ = ("_failures", "_newest", "_slow", "_successes", "_width", "failures", "slow", "successes")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self.clear()

    def __repr__(self) -> str:
        return f"<Window [{self.failures} of {self.total} failed, {self.slow} slow]>"

    @property
    def total(self) -> int:
        """Outcomes in the window, good and bad."""
        return self.successes + self.failures

    def clear(self) -> None:
        """Forget everything."""
        self.successes = 0
        """Outcomes that were good."""
        self.failures = 0
        """Outcomes that were bad."""
        self.slow = 0
        """Outcomes, good or bad, that took long."""
        self._successes = [0] * BUCKETS
        self._failures = [0] * BUCKETS
        self._slow = [0] * BUCKETS
        self._newest: int | None = None

    def record(self, now: float, *, failed: bool, slow: bool = False) -> None:
        """Count one outcome that became known at `now` (seconds, monotonic)."""
        at = self.advance(now) % BUCKETS
        if failed:
            self._failures[at] += 1
            self.failures += 1
        else:
            self._successes[at] += 1
            self.successes += 1
        if slow:
            self._slow[at] += 1
            self.slow += 1

    def advance(self, now: float) -> int:
        """Let go of what is too old at `now` (seconds, monotonic); returns the number of the newest bucket."""
        bucket = int(now // self._width)
        # The common case by far, on every attempt's way: nothing has become too old since the last outcome.
        if bucket == self._newest:
            return bucket
        if self._newest is None:
            self._newest = bucket
        # After a long silence every bucket is emptied once, not once for each interval that passed.
        for stale in range(max(self._newest + 1, bucket - BUCKETS + 1), bucket + 1):
            at = stale % BUCKETS
            self.successes -= self._successes[at]
            self.failures -= self._failures[at]
            self.slow -= self._slow[at]
            self._successes[at] = self._failures[at] = self._slow[at] = 0
        self._newest = max(self._newest, bucket)
        return self._newest
