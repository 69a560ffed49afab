"""When a second attempt is worth it, and whether there is leave for it.

Worth it: the first takes longer than nearly all calls of the same tool did ("The Tail at Scale", Dean and Barroso,
2013). Leave: second attempts stay a small share of all calls, so that a slow day of the whole server is not doubled.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from trunkline.resilience.latencies import Latencies

if TYPE_CHECKING:
    from trunkline.policy import HedgePolicy

__all__ = ["Hedging"]

_TOOLS = 1024
"""Tools kept; whichever was called least recently is forgotten first."""


class Hedging:
    """What is known of one server's tools, and the leave its calls have earned."""

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._tools: OrderedDict[str, Latencies] = OrderedDict()
        self._saved = 0.0
        self._in_flight = 0
        self._started = 0
        self._refused = 0

    def __repr__(self) -> str:
        return (
            f"<Hedging [{len(self._tools)} tools, {self._saved:.2f} hedges saved, "
            f"{self._started} started, {self._refused} refused]>"
        )

    def delay(self, tool: str) -> float | None:
        """Seconds a call of this tool may take before a second attempt is worth it; None while nobody knows."""
        known = self._tools.get(tool)
        if known is None or len(known) < self._policy.minimum:
            return self._policy.delay
        quantile = known.quantile()
        return self._policy.delay if quantile is None else quantile

    def note(self, tool: str, latency: float, *, at_least: bool = False) -> None:
        """An attempt of this tool took so many seconds, or `at_least` so many: it was given up."""
        known = self._tools.get(tool)
        if known is None:
            known = self._tools[tool] = Latencies(self._policy.quantile, self._policy.minimum)
            if len(self._tools) > _TOOLS:
                self._tools.popitem(last=False)
        else:
            self._tools.move_to_end(tool)
        known.add(latency, at_least=at_least)

    def called(self) -> None:
        """A call begins: it earns `policy.extra` of a second attempt."""
        self._in_flight += 1
        self._saved += self._policy.extra
        self._forfeit()

    def ended(self) -> None:
        """A call that began is over."""
        self._in_flight -= 1
        self._forfeit()

    def try_spend(self) -> bool:
        """Ask leave for one second attempt."""
        # Earned in shares such as 0.05, whose sum is a hair below the whole.
        if self._saved < 1.0 - 1e-9:
            self._refused += 1
            return False
        self._saved = max(0.0, self._saved - 1.0)
        self._started += 1
        return True

    def _forfeit(self) -> None:
        """Leave only one second attempt to later calls, beside what those in flight have earned.

        So any n calls in a row, from a moment on at which none was in flight, make n times `policy.extra` second
        attempts, rounded up. More could be saved up in a quiet hour and make a short run afterwards expensive.
        """
        self._saved = min(self._saved, 1.0 + self._policy.extra * max(0, self._in_flight - 1))
