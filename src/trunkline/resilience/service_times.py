"""How long the calls of each tool take, so that nobody is sent who could not be answered in time."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ServiceTimes"]

_SMOOTHING = 0.2
"""Weight of the newest time in the moving average."""
_TOOLS = 256
"""Tools kept; whichever succeeded least recently is forgotten first."""


class ServiceTimes:
    """Moving averages of the seconds that successful calls took, by tool: tools of one server differ by magnitudes."""

    def __init__(self) -> None:
        self._averages: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ServiceTimes [{len(self._averages)} of {_TOOLS} tools]>"

    def expected(self, tool: str) -> float:
        """Seconds a call of this tool takes on average; 0.0 while nobody knows."""
        return self._averages.get(tool, 0.0)

    def note(self, tool: str, seconds: float) -> None:
        """A call of this tool succeeded after so many seconds with the server."""
        known = self._averages.get(tool)
        self._averages[tool] = seconds if known is None else known + (seconds - known) * _SMOOTHING
        self._averages.move_to_end(tool)
        if len(self._averages) > _TOOLS:
            self._averages.popitem(last=False)
