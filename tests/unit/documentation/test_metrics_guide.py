"""docs/metrics.md: its bounds are those in force."""

from __future__ import annotations

import inspect

from tests.unit.documentation.guide import Guide
from trunkline import MetricsCollector
from trunkline.monitoring.labels import LABEL_LENGTH
from trunkline.monitoring.norms import WATCHED
from trunkline.monitoring.series import FOLD_AT

GUIDE = Guide("metrics")


def test_the_guides_bounds_are_those_in_force() -> None:
    defaults = inspect.signature(MetricsCollector).parameters
    for name in ("max_series", "max_windowed"):
        assert f"`{name}`, {defaults[name].default:,}" in GUIDE.text
    assert f"| {FOLD_AT:,} | folded" in GUIDE.text
    assert f"characters of a label | {LABEL_LENGTH} |" in GUIDE.text
    assert f"({WATCHED['p50']} for a median, {WATCHED['p99']} for p99)" in GUIDE.text
