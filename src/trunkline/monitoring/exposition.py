"""The text formats Prometheus reads: 0.0.4 and OpenMetrics 1.0.

Knows syntax only; which metrics there are is said elsewhere. Sources: "Exposition formats" of the Prometheus
documentation, and the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal

from trunkline.monitoring.buckets import classes
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.readings import Distribution, Reading

__all__ = ["TextWriter", "escape", "label_text"]


def escape(value: str) -> str:
    """Return a label value such that it can neither end its quotes nor its line."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def label_text(labels: Labels) -> str:
    """Return `name="value",…` without braces."""
    return ",".join([f'{name}="{escape(value)}"' for name, value in labels])


class TextWriter:
    """Writes metrics as lines of text."""

    def __init__(self, *, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._texts: dict[Labels, str] = {}

    def histogram(
        self, name: str, text: str, bounds: tuple[float, ...], some: Iterable[list[Distribution]]
    ) -> Iterator[bytes]:
        """Yield a histogram with classic buckets that end at `bounds` (s), in one piece for each list of `some`."""
        yield self._header(name, "histogram", text).encode()
        where = classes(bounds)
        ends = [f'le="{bound!r}"}} ' for bound in bounds] + ['le="+Inf"} ']
        for distributions in some:
            lines: list[str] = []
            for distribution in distributions:
                labels = self._labels(distribution.labels)
                begin = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
                hits = [0] * len(ends)
                for index, times in distribution.buckets.items():
                    hits[where[index]] += times
                lines += [f"{begin}{end}{upto}\n" for end, upto in zip(ends, accumulate(hits), strict=True)]
                lines.append(_sample(f"{name}_sum", labels, distribution.total))
                lines.append(_sample(f"{name}_count", labels, distribution.size))
            yield "".join(lines).encode()

    def reading(self, reading: Reading) -> bytes:
        """Return a counter or a gauge."""
        name = f"{reading.name}_total" if reading.kind == "counter" else reading.name
        lines = [_sample(name, label_text(labels), number) for labels, number in reading.labelled().items()]
        return (self._header(reading.name, reading.kind, reading.help) + "".join(lines)).encode()

    def end(self) -> bytes:
        """Return what ends the page."""
        return b"# EOF\n" if self._openmetrics else b""

    def _labels(self, labels: Labels) -> str:
        found = self._texts.get(labels)
        if found is None:
            found = self._texts[labels] = label_text(labels)
        return found

    def _header(self, name: str, kind: Literal["counter", "gauge", "histogram"], text: str) -> str:
        """The lines that introduce a metric; `name` without the `_total` of a counter."""
        if not self._openmetrics:
            full = f"{name}_total" if kind == "counter" else name
            return f"# HELP {full} {text}\n# TYPE {full} {kind}\n"
        unit = f"# UNIT {name} seconds\n" if name.endswith("_seconds") else ""
        return f"# TYPE {name} {kind}\n{unit}# HELP {name} {text}\n"


def _sample(name: str, labels: str, value: float) -> str:
    return f"{name}{{{labels}}} {value!r}\n" if labels else f"{name} {value!r}\n"
