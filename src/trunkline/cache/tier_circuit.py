"""Whether the shared tier is asked at all: one fault opens its circuit, and only a probe closes it again. Pure."""

from __future__ import annotations

import random

from trunkline.policy import RedisPolicy

__all__ = ["TierCircuit"]


class TierCircuit:
    """Open from the start: nobody is kept waiting for a tier that has not answered yet."""

    def __init__(self, policy: RedisPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._pause = 0.0
        self._closed_at: float | None = None
        self._opened_at: float | None = None
        self.is_closed = False

    def __repr__(self) -> str:
        return f"<TierCircuit {'closed' if self.is_closed else f'open, probed every {self._pause:g} s'}>"

    def close(self, now: float) -> float:
        """Take note of a successful probe; returns for how many seconds it was open."""
        self.is_closed = True
        self._closed_at = now
        return 0.0 if self._opened_at is None else now - self._opened_at

    def fail(self, now: float) -> None:
        """Take note of a fault, in use or of a probe."""
        policy = self._policy
        was_well = self.is_closed and self._closed_at is not None and now - self._closed_at > policy.open_cap
        # What passes a probe and fails in use soon after is not well: the pause goes on growing.
        starts_over = was_well or not self._pause
        self._pause = policy.open_for if starts_over else min(2 * self._pause, policy.open_cap)
        if self.is_closed or self._opened_at is None:
            self._opened_at = now
        self.is_closed = False

    def pause(self) -> float:
        """Seconds until the next probe; shortened at random, so that a fleet does not come back in one moment."""
        return min(self._pause, self._policy.open_cap) * self._rng.uniform(0.75, 0.95)
