"""docs/prometheus.md: its metrics exist, and their labels are those of the catalogue."""

from __future__ import annotations

import re

from tests.unit.documentation.guide import Guide
from trunkline import Infrastructure
from trunkline.monitoring import PrometheusExporter
from trunkline.monitoring.catalogue import HISTOGRAMS

GUIDE = Guide("prometheus")


def test_the_guides_table_names_every_histogram_with_its_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", GUIDE.text, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert told == {
        spec.name: {label for label in spec.labels if label} | ({"error_type"} if spec.error_type else set())
        for spec in HISTOGRAMS
    }


def test_every_metric_in_the_guide_is_exported() -> None:
    infra = Infrastructure.from_config({"mcpServers": {}})
    exported = set(re.findall(r"^# TYPE (\w+) ", PrometheusExporter(infra.metrics).render(), re.MULTILINE))
    assert set(re.findall(r"`((?:trunkline|gen_ai|mcp)_\w+_\w+)`", GUIDE.text)) - _LABELS <= exported


_LABELS = {"gen_ai_tool_name", "mcp_method_name"}
