"""Numbers that others keep and metrics only pass on: read when somebody asks for the metrics, never before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.monitoring.exposition import header, label_text, sample
from trunkline.monitoring.labels import clean

__all__ = ["Reading", "ReadingSource", "counted_by", "rendered"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric, as it is now."""

    name: str
    """Without the `_total` of a counter; what is ours begins with `trunkline_`."""
    kind: Literal["counter", "gauge"]
    help: str
    samples: Mapping[tuple[str, ...], float]
    """Values by those of the labels."""
    labels: tuple[str, ...] = ()


ReadingSource: TypeAlias = Callable[[], Iterable[Reading]]
"""A plain read, without I/O."""


def counted_by(label: str, name: str, text: str, counts: Mapping[str, int]) -> Reading:
    """A counter with one label."""
    return Reading(name, "counter", text, {(value,): count for value, count in counts.items()}, (label,))


def rendered(readings: Iterable[Reading], *, openmetrics: bool) -> Iterator[str]:
    """Each reading as text for Prometheus."""
    for reading in readings:
        name = f"{reading.name}_total" if reading.kind == "counter" else reading.name
        lines = [
            sample(name, label_text(reading.labels, [clean(value) for value in values]), number)
            for values, number in sorted(reading.samples.items())
        ]
        yield header(reading.name, reading.kind, reading.help, openmetrics=openmetrics) + "".join(lines)
