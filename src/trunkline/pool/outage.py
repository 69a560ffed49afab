"""How long a server has been away, why, and whether waiting for it still helps. Pure; the pool's memory of trouble."""

from __future__ import annotations

import random

from trunkline.policy import PoolPolicy
from trunkline.resilience.backoff import full_jitter

__all__ = ["Outage"]


class Outage:
    """One server's present trouble in reaching it. Times are seconds on the loop's clock."""

    def __init__(self, policy: PoolPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._since: float | None = None
        self._hopeless = False
        self.failures = 0
        """Failed connects in a row."""
        self.reason = ""
        """In words fit to show; empty while all is well."""
        self.next_try = 0.0

    def over(self) -> None:
        """A connection is ready."""
        self._since, self._hopeless, self.failures, self.reason = None, False, 0, ""

    def lost(self, reason: str, now: float) -> None:
        """The last ready connection ended."""
        self.reason, self._since = reason, now

    def failed(self, reason: str, now: float, *, hopeless: bool, has_others: bool) -> float:
        """A connect failed; returns the seconds to pause before the next.

        `hopeless` says that waiting a little cannot help; `has_others`, that other connections to the server work.
        """
        delay = full_jitter(self._policy.base, self._policy.cap, self.failures, self._rng)
        self.failures += 1
        self.next_try = now + delay
        if not has_others:
            self._hopeless = hopeless
            self.reason = reason
            self._since = now if self._since is None else self._since
        return delay

    def is_given_up(self, now: float) -> bool:
        """Whether calls should be refused at once instead of waiting: the server has been away for too long."""
        if self._since is None or not self.failures:
            return False
        return self._hopeless or now - self._since >= self._policy.patience
