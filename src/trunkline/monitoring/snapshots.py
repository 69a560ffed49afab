"""All metrics of a process at one moment, to be added to those of others and to be written down. Does no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from trunkline.monitoring.buckets import BOUNDS
from trunkline.monitoring.readings import MERGES, Distribution, Reading

__all__ = ["Snapshot"]

_LAYOUT: Final = [1, len(BOUNDS)]
"""Of what is written down. Processes of another layout cannot be added up with this one."""
_SLICE: Final = 100


class Snapshot:
    """Histograms and readings by name. What is added to it is merged by labels."""

    def __init__(self) -> None:
        self._histograms: dict[str, dict[Any, Distribution]] = {}
        self._readings: dict[str, Reading] = {}

    def __repr__(self) -> str:
        series = sum(map(len, self._histograms.values()))
        return f"<Snapshot [{series} series of histograms, {len(self._readings)} readings]>"

    def add_histogram(self, name: str, distributions: Iterable[Distribution]) -> None:
        """Add series of the histogram called `name`."""
        held = self._histograms.setdefault(name, {})
        for new in distributions:
            old = held.get(new.labels)
            if old is None:
                held[new.labels] = new
                continue
            buckets = dict(old.buckets)
            for index, hits in new.buckets.items():
                buckets[index] = buckets.get(index, 0) + hits
            held[new.labels] = Distribution(new.labels, buckets, old.size + new.size, old.total + new.total)

    def add_reading(self, new: Reading) -> None:
        """Add a counter or a gauge; one that has other labels than that of the same name is left out."""
        old = self._readings.get(new.name)
        if old is None:
            self._readings[new.name] = new
        elif (old.kind, old.labels) == (new.kind, new.labels):
            merge = MERGES["sum" if new.kind == "counter" else new.merge]
            samples = dict(old.samples)
            for values, number in new.samples.items():
                samples[values] = merge(samples[values], number) if values in samples else number
            self._readings[new.name] = replace(old, samples=samples)

    def add(self, other: Snapshot, *, alive: bool = True) -> None:
        """Add another process's metrics; of one that is not alive what it counted, and not how it was."""
        for name, held in other._histograms.items():
            self.add_histogram(name, held.values())
        for reading in other._readings.values():
            if alive or reading.kind == "counter":
                self.add_reading(reading)

    def histogram(self, name: str) -> Iterator[list[Distribution]]:
        """Yield the series of one histogram in lists of at most a hundred."""
        held = list(self._histograms.get(name, {}).values())
        for start in range(0, len(held) or 1, _SLICE):
            yield held[start : start + _SLICE]

    def readings(self) -> Iterable[Reading]:
        """Every counter and gauge."""
        return self._readings.values()

    def packed(self) -> bytes:
        """Return everything as JSON."""
        histograms = {
            name: [[each.labels, list(each.buckets.items()), each.size, each.total] for each in held.values()]
            for name, held in self._histograms.items()
        }
        readings = [
            [each.name, each.kind, each.help, each.labels, each.merge, list(each.samples.items())]
            for each in self._readings.values()
        ]
        return json.dumps({"layout": _LAYOUT, "histograms": histograms, "readings": readings}).encode()

    @classmethod
    def unpacked(cls, packed: bytes) -> Snapshot:
        """Return what `packed` returned.

        Raises:
            ValueError: It is damaged, or of another layout.
        """
        snapshot = cls()
        try:
            told = json.loads(packed)
            if told["layout"] != _LAYOUT:
                message = f"layout {told['layout']!r}, expected {_LAYOUT!r}"
                raise ValueError(message)
            for name, series in told["histograms"].items():
                snapshot.add_histogram(
                    name,
                    [
                        Distribution(tuple((label, value) for label, value in labels), dict(buckets), size, total)
                        for labels, buckets, size, total in series
                    ],
                )
            for name, kind, text, labels, merge, samples in told["readings"]:
                values = {tuple(key): number for key, number in samples}
                snapshot.add_reading(Reading(name, kind, text, values, tuple(labels), merge))
        except (KeyError, TypeError, AttributeError) as error:
            message = "no snapshot of metrics"
            raise ValueError(message) from error
        return snapshot
