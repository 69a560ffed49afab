"""docs/metrics.md: its code is run, and its bounds are those in force."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from trunkline import MetricsCollector
from trunkline.monitoring.labels import LABEL_LENGTH
from trunkline.monitoring.norms import WATCHED
from trunkline.monitoring.series import FOLD_AT

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "metrics.md").read_text("utf-8")
EXAMPLES = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs_src" / "metrics").glob("*.py"))


def test_every_example_of_the_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs_src/metrics"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_code_in_the_guide_stands_in_an_example() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert [line for line in lines if line and line not in EXAMPLES] == []


def test_the_guides_bounds_are_those_in_force() -> None:
    defaults = inspect.signature(MetricsCollector).parameters
    for name in ("max_series", "max_windowed"):
        assert f"`{name}`, {defaults[name].default:,}" in TEXT
    assert f"| {FOLD_AT:,} | folded" in TEXT
    assert f"characters of a label | {LABEL_LENGTH} |" in TEXT
    assert f"({WATCHED['p50']} for a median, {WATCHED['p99']} for p99)" in TEXT
