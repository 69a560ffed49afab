"""Whether what a server did lately is reason enough to leave it alone for a while.

A run of failures and a share of failures each miss what the other catches (a server that died; one that fails three
calls of five, but never five in a row), and a server that answers too late fails neither. So each of the three opens
the circuit. (The union of the first two follows Linkerd's unified breaker.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.resilience.incidents import Incidents
from trunkline.resilience.window import Window

if TYPE_CHECKING:
    from trunkline.policy import BreakerPolicy

__all__ = ["Evidence"]


class Evidence:
    """Outcomes of a closed circuit's attempts. `slow` is the number of seconds from which an attempt is slow."""

    def __init__(self, policy: BreakerPolicy, slow: float) -> None:
        self._policy = policy
        self._slow = slow
        self._window = Window(policy.window)
        self._incidents = Incidents()
        self._streak = 0

    def __repr__(self) -> str:
        return f"<Evidence [{self.summary}]>"

    @property
    def summary(self) -> str:
        """The numbers in words, as of the last outcome."""
        window = self._window
        return (
            f"{_failures(self._streak)} in a row, {window.failures} of {window.total} outcomes failed, "
            f"{window.slow} slow"
        )

    def clear(self) -> None:
        """Forget everything."""
        self._window.clear()
        self._incidents.clear()
        self._streak = 0

    def success(self, now: float, duration: float | None) -> str | None:
        """Count a success at `now` that took `duration` seconds (None counts as fast).

        Returns the reason to open the circuit, in words, or None.
        """
        self._streak = 0
        return self._weigh(now, duration, failed=False)

    def failure(self, now: float, duration: float | None, *, soft: bool, incident: object | None) -> str | None:
        """Count a failure, unless its incident is counted already; returns as `success` does.

        A `soft` one (overload) is neither part nor end of a run of failures: the server was there to say no.
        """
        if incident in self._incidents:
            return None
        self._incidents.add(incident)
        if not soft:
            self._streak += 1
        return self._weigh(now, duration, failed=True)

    def _weigh(self, now: float, duration: float | None, *, failed: bool) -> str | None:
        policy, window = self._policy, self._window
        window.record(now, failed=failed, slow=duration is not None and duration >= self._slow)
        if self._streak >= policy.consecutive:
            return f"{_failures(self._streak)} in a row"
        total = window.total
        if total < policy.minimum:
            return None
        if window.failures >= policy.ratio * total:
            return f"{100 * window.failures / total:.0f} % of {total} outcomes in {policy.window:g} s failed"
        if window.slow >= policy.slow_ratio * total:
            return f"{100 * window.slow / total:.0f} % of {total} outcomes in {policy.window:g} s were slow"
        return None


def _failures(number: int) -> str:
    return f"{number} failure{'' if number == 1 else 's'}"
