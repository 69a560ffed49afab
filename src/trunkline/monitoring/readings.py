"""Metrics as they are at one moment: what every exposition format writes, and what several processes add up.

Also the seam for numbers that others keep and metrics only pass on: read when somebody asks, never before.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from trunkline.monitoring.labels import Labels, clean, paired

__all__ = ["MERGES", "Distribution", "Merge", "Reading", "ReadingSource", "counted_by"]

Merge: TypeAlias = Literal["sum", "min", "max"]

MERGES: Final[Mapping[Merge, Callable[[float, float], float]]] = MappingProxyType(
    {"sum": operator.add, "min": min, "max": max}
)
"""What two values of one gauge come to."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One counter or gauge, as it is now."""

    name: str
    """Without the `_total` of a counter; what is ours begins with `trunkline_`."""
    kind: Literal["counter", "gauge"]
    help: str
    samples: Mapping[tuple[str, ...], float]
    """Values by those of the labels."""
    labels: tuple[str, ...] = ()
    merge: Merge = "sum"
    """What several processes' values of a gauge come to. Counters are always added up."""

    def labelled(self) -> dict[Labels, float]:
        """Return the values by labels that are safe to print.

        Those whose labels differ only in what cannot be printed are merged: no page may show the same labels twice.
        """
        merge = MERGES[self.merge]
        found: dict[Labels, float] = {}
        for values, number in sorted(self.samples.items()):
            labels = paired(self.labels, map(clean, values))
            found[labels] = merge(found[labels], number) if labels in found else number
        return found


class Distribution(NamedTuple):
    """One set of labels of a histogram, as it is now."""

    labels: Labels
    buckets: Mapping[int, int]
    """How many values fell into each bucket, by index into `BOUNDS`; empty ones may be left out."""
    size: int
    """Values."""
    total: float
    """Seconds."""


ReadingSource: TypeAlias = Callable[[], Iterable[Reading]]
"""A plain read, without I/O."""


def counted_by(label: str, name: str, text: str, counts: Mapping[str, int]) -> Reading:
    """A counter with one label."""
    return Reading(name, "counter", text, {(value,): count for value, count in counts.items()}, (label,))
