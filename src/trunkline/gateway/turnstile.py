"""How often one principal may come, and who is told when that is not kept to."""

from __future__ import annotations

from typing import Final

from trunkline.gateway.audit import note_overuse
from trunkline.policy import PrincipalPolicy
from trunkline.resilience.rate import RateLimit

__all__ = ["Turnstile"]

_PAUSE: Final = 10.0
"""Seconds between two notes in the audit log: who comes too often must not fill it."""


class Turnstile:
    """Lets one principal's requests through, at the rate its policy has."""

    def __init__(self, name: str, policy: PrincipalPolicy) -> None:
        """Count for the principal `name`, whose `policy` has a rate."""
        self.policy = policy
        self._name = name
        self._limit = None if policy.rate is None else RateLimit(policy.rate, policy.burst)
        self._refused = 0
        self._noted = float("-inf")

    def __repr__(self) -> str:
        return f"<Turnstile {self._name} [{self._refused} refused, not yet noted]>"

    def wait(self, now: float, *, is_audited: bool) -> float:
        """Take a turn, or return the seconds until there will be one. `now` is seconds on the loop's clock."""
        if self._limit is None or self._limit.reserve(now, until=now) is not None:
            return 0.0
        self._refused += 1
        if is_audited and now - self._noted >= _PAUSE:
            note_overuse(self._name, self._refused)
            self._refused, self._noted = 0, now
        return self._limit.expected_wait(now)
