"""docs/prometheus.md: its code is run, its metrics exist, and their labels are those of the catalogue."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from trunkline import Infrastructure
from trunkline.monitoring import PrometheusExporter
from trunkline.monitoring.catalogue import HISTOGRAMS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "prometheus.md").read_text("utf-8")
EXAMPLES = ROOT / "docs_src" / "prometheus"


def test_every_example_of_the_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_code_in_the_guide_stands_in_an_example() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    code = [line.strip() for block in blocks for line in block.splitlines()]
    assert len(code) > 10
    examples = "\n".join(path.read_text("utf-8") for path in EXAMPLES.glob("*.py"))
    assert [line for line in code if line and line not in examples] == []


def test_the_guides_table_names_every_histogram_with_its_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", TEXT, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert told == {
        spec.name: {label for label in spec.labels if label} | ({"error_type"} if spec.error_type else set())
        for spec in HISTOGRAMS
    }


def test_every_metric_in_the_guide_is_exported() -> None:
    infra = Infrastructure.from_config({"mcpServers": {}})
    exported = set(re.findall(r"^# TYPE (\w+) ", PrometheusExporter(infra.metrics).render(), re.MULTILINE))
    assert set(re.findall(r"`((?:trunkline|gen_ai|mcp)_\w+_\w+)`", TEXT)) - _LABELS <= exported


_LABELS = {"gen_ai_tool_name", "mcp_method_name"}
