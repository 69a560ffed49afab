"""When a second attempt is worth it, and whether there is leave for it.

Worth it: the first takes longer than nearly all calls of the same tool did ("The Tail at Scale", Dean and Barroso,
2013). Leave: second attempts stay a small share of all calls, so that a slow day of the whole server is not doubled.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.policy import HedgePolicy

__all__ = ["Hedging"]

_REMEMBERED = 256
"""Latencies kept of one tool: the quantile follows the latest."""
_TOOLS = 1024
"""Tools kept; whichever was called least recently is forgotten first."""
_RENEWAL = 16
"""Latencies after which a quantile is computed anew."""
_MOST_SAVED = 10.0
"""Second attempts that may be saved up."""


class _Latencies:
    """The latest latencies of one tool, and their quantile."""

    __slots__ = ("_cached", "_latest", "_quantile", "_since")

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._latest: deque[float] = deque(maxlen=_REMEMBERED)
        self._cached = 0.0
        self._since = _RENEWAL

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, latency: float) -> None:
        self._latest.append(latency)
        self._since += 1

    def quantile(self) -> float:
        if self._since >= _RENEWAL:
            ordered = sorted(self._latest)
            self._cached = ordered[ceil(self._quantile * len(ordered)) - 1]
            self._since = 0
        return self._cached


class Hedging:
    """What is known of one server's tools, and the leave its calls have earned."""

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._tools: OrderedDict[str, _Latencies] = OrderedDict()
        self._saved = 0.0
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
        return known.quantile()

    def note(self, tool: str, latency: float) -> None:
        """A call of this tool took so many seconds; of one that was given up, so many at least."""
        known = self._tools.get(tool)
        if known is None:
            known = self._tools[tool] = _Latencies(self._policy.quantile)
            if len(self._tools) > _TOOLS:
                self._tools.popitem(last=False)
        else:
            self._tools.move_to_end(tool)
        known.add(latency)

    def called(self) -> None:
        """A first attempt was made: it earns `policy.extra` of a second one."""
        self._saved = min(self._saved + self._policy.extra, _MOST_SAVED)

    def try_spend(self) -> bool:
        """Ask leave for one second attempt."""
        # Earned in shares such as 0.05, whose sum is a hair below the whole.
        if self._saved < 1.0 - 1e-9:
            self._refused += 1
            return False
        self._saved = max(0.0, self._saved - 1.0)
        self._started += 1
        return True
