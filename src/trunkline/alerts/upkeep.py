"""What our own work costs, measured by doing it: reading everybody's health, and recording a request."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from trunkline.alerts.timeline import Count, Subject
from trunkline.monitoring.metrics import MetricsCollector

__all__ = ["HEALTH_READ", "RECORD", "Upkeep"]

HEALTH_READ: Final = "health_read"
RECORD: Final = "record"


class Upkeep:
    """Does each once when asked to, and adds up how long that took."""

    def __init__(self, read_health: Callable[[], object] | None) -> None:
        self._read_health = read_health
        # A collector of its own: nobody's figures get a request that nobody made.
        self._scratch = MetricsCollector(max_series=1)
        self._counts: dict[Subject, Count] = {}

    def measure(self) -> None:
        """Do each once."""
        scratch = self._scratch
        self._add(RECORD, lambda: scratch.record("upkeep", "record", duration=0.0))
        if self._read_health is not None:
            self._add(HEALTH_READ, self._read_health)

    def counts(self) -> dict[Subject, Count]:
        """How often each was done, and the seconds that all of it took."""
        return self._counts.copy()

    def _add(self, part: str, work: Callable[[], object]) -> None:
        started = perf_counter()
        work()
        total, bad, seconds = self._counts.get((part,), Count())
        self._counts[part,] = Count(total + 1, bad, seconds + perf_counter() - started)
