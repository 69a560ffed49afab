"""The text formats Prometheus reads: 0.0.4 and OpenMetrics 1.0.

Knows syntax only; which metrics there are is said in `prometheus`. Sources: "Exposition formats" of the Prometheus
documentation, and the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "escape", "header", "label_text", "sample"]

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of the plain format."""

OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Content type of OpenMetrics."""


def escape(value: str) -> str:
    """Return a label value such that it can neither end its quotes nor its line."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """Return `name="value",…` without braces. An empty value is no label, as Prometheus has it; so is an empty name."""
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs if name and value)


def header(name: str, kind: Literal["counter", "gauge", "histogram"], text: str, *, openmetrics: bool) -> str:
    """Return the lines that introduce a metric; `name` without the `_total` of a counter."""
    if not openmetrics:
        full = f"{name}_total" if kind == "counter" else name
        return f"# HELP {full} {text}\n# TYPE {full} {kind}\n"
    unit = f"# UNIT {name} seconds\n" if name.endswith("_seconds") else ""
    return f"# TYPE {name} {kind}\n{unit}# HELP {name} {text}\n"


def sample(name: str, labels: str, value: float) -> str:
    """Return one line; `labels` as made by `label_text`."""
    return f"{name}{{{labels}}} {value!r}\n" if labels else f"{name} {value!r}\n"
