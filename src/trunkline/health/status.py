"""How well one dependency is, as a fold over good and bad signs, with hysteresis. Pure; under the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.policy import HealthPolicy

__all__ = ["HealthState", "Status"]

HealthState = Literal["healthy", "degraded", "down", "unknown"]


@dataclass(slots=True)
class Status:
    """The state of one dependency. The first bad sign degrades it, `down_after` in a row take it down."""

    policy: HealthPolicy
    since: float
    """Seconds since the epoch at which the state began."""
    state: HealthState = "unknown"
    reason: str = "not seen so far"
    good: int = 0
    """Good signs in a row."""
    bad: int = 0
    """Bad signs in a row."""

    def note_good(self, wall: float, signs: int = 1) -> bool:
        """Take note of good signs; whether the state changed."""
        self.bad = 0
        self.good += signs
        if self.state == "healthy":
            return False
        if self.state == "unknown" or self.good >= self.policy.up_after:
            return self._move("healthy", "", wall)
        return self._move("degraded", "recovering", wall)

    def note_bad(self, reason: str, wall: float) -> bool:
        """Take note of a bad sign; whether the state changed."""
        self.good = 0
        self.bad += 1
        return self._move("down" if self.bad >= self.policy.down_after else "degraded", reason, wall)

    def _move(self, state: HealthState, reason: str, wall: float) -> bool:
        self.reason = reason
        if state == self.state or (self.state == "down" and state == "degraded" and self.bad):
            return False
        self.state, self.since = state, wall
        return True
