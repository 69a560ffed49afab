"""How many retries a server's calls may add to its load: successes pay for them, so a storm cannot start.

Tokens rather than "at most n per call": while all is well they let nearly every failure be retried, and in an outage
they run out, whatever the number of callers. (The rule is that of the AWS SDKs' standard retry mode, scaled down to the
call rates of agents: at one call per second a total outage costs 1.03 attempts per call, and with every fifth attempt
failing 99 % of the calls still succeed.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.resilience.incidents import Incidents, Wave

if TYPE_CHECKING:
    from trunkline.policy import RetryPolicy

__all__ = ["RetryBudget", "Spent"]


@dataclass(slots=True, eq=False)
class Spent:
    """What one retry cost; hand it to `RetryBudget.retry_succeeded` if the retry succeeds."""

    tokens: float
    """0.0 for a retry that shares an incident already paid for, and once it has been given back."""


class RetryBudget:
    """The tokens of one server, all replicas and tools together: full at first, never below 0 or above full."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._balance = policy.budget
        self._incidents = Incidents()
        self._granted = 0
        self._refused = 0

    def __repr__(self) -> str:
        return (
            f"<RetryBudget [{self._balance:g} of {self._policy.budget:g} tokens, "
            f"{self._granted} retries granted, {self._refused} refused]>"
        )

    @property
    def balance(self) -> float:
        """Tokens left."""
        return self._balance

    def try_spend(self, *, timeout: bool, incident: object | None) -> Spent | None:
        """Pay for one retry; None means that it must not be made.

        `timeout`: the attempt before it timed out, which costs more, as it also held its place for long. Retries after
        the same `incident` (compared by identity: one lost connection) are paid once; those after a `Wave`, as far as
        that goes.
        """
        is_known = incident in self._incidents
        if is_known and (not isinstance(incident, Wave) or incident.share()):
            self._granted += 1
            return Spent(0.0)
        cost = self._policy.timeout_cost if timeout else self._policy.cost
        if cost > self._balance:
            self._refused += 1
            return None
        if not is_known:
            self._incidents.add(incident)
        self._granted += 1
        self._balance -= cost
        return Spent(cost)

    def succeeded_first_try(self) -> None:
        """A call succeeded at its first attempt: `policy.refund` tokens come back."""
        self._deposit(self._policy.refund)

    def retry_succeeded(self, spent: Spent) -> None:
        """The retry paid with `spent` succeeded: its whole price comes back, once."""
        tokens, spent.tokens = spent.tokens, 0.0
        self._deposit(tokens)

    def _deposit(self, tokens: float) -> None:
        self._balance = min(self._balance + tokens, self._policy.budget)
