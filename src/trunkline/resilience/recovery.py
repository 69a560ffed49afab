"""How a server in trouble is spared: how long it is left alone, and how little it is given when it is back.

Half of each stay is fixed and half is drawn ("equal jitter"; Marc Brooker, "Exponential Backoff And Jitter", 2015):
without jitter all clients come back at once, with full jitter some would not leave the server alone at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from trunkline.policy import BreakerPolicy

__all__ = ["FIRST_SHARE", "FORGIVEN_AFTER", "RISE", "OpenTime", "share_of_load"]

FORGIVEN_AFTER = 300.0
"""Seconds a circuit must have been closed for one doubling to be taken back."""
RISE = 10.0
"""Seconds from closing the circuit to full load."""
FIRST_SHARE = 0.1
"""Share of the full load at the moment of closing."""


class OpenTime:
    """Draws open times from [d/2, d) with d = min(`open_for` * 2^k, `open_cap`) seconds, and keeps k."""

    def __init__(self, policy: BreakerPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._doublings = 0

    def __repr__(self) -> str:
        return f"<OpenTime [at most {self._longest():g} s, {self._doublings} doublings]>"

    def draw(self, closed_for: float) -> float:
        """Seconds to stay open after `closed_for` seconds of being closed; k falls by one per five minutes of them."""
        self._doublings = max(0, self._doublings - int(closed_for // FORGIVEN_AFTER))
        return self._jittered()

    def draw_longer(self) -> float:
        """Seconds to stay open after a failed probe: k + 1."""
        # Not past the cap, where further doublings would only take longer to be forgiven.
        if self._longest() < self._policy.open_cap:
            self._doublings += 1
        return self._jittered()

    def reset(self) -> None:
        """Forget all doublings."""
        self._doublings = 0

    def _longest(self) -> float:
        return min(self._policy.open_for * 2.0**self._doublings, self._policy.open_cap)

    def _jittered(self) -> float:
        return self._longest() * (0.5 + 0.5 * self._rng.random())


def share_of_load(closed_for: float) -> float:
    """Share of the usual concurrency in [`FIRST_SHARE`, 1], rising linearly with the seconds since closing."""
    risen = min(max(closed_for / RISE, 0.0), 1.0)
    return FIRST_SHARE + (1.0 - FIRST_SHARE) * risen
