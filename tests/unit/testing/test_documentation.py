"""The examples of docs/testing.md run, and the tables name every fault there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.testing import faults
from trunkline.testing.proxy import FaultProxy

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "testing.md").read_text("utf-8")


def test_every_example_of_the_testing_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs_src/testing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [name for name in faults.__all__ if name != "Fault"])
def test_every_fault_is_in_the_guide(name: str) -> None:
    assert re.search(rf"`{name}`", TEXT)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in vars(FaultProxy("", 0))
        if not name.startswith("_") and name not in ("port", "accepted", "forwarded")
    ],
)
def test_everything_the_proxy_can_do_is_in_the_guide(name: str) -> None:
    assert name in TEXT


def test_code_in_the_guide_stands_in_an_example() -> None:
    examples = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs_src" / "testing").glob("*.py"))
    code = [
        line.strip() for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
    ]
    assert [line for line in code if line and line != "..." and line not in examples] == []
