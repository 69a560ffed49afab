"""The fire drill's report cannot be kinder than the drill: a failed test is no kept promise, a missing one is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.requirements_ledger import LEDGER
from tests.resilience.promises import PROMISES, Row, missing_from

ROOT = Path(__file__).resolve().parents[1]

CONFTEST = """
from tests.conftest import pytest_configure
from tests.resilience.conftest import *
"""
TESTS = """
import pytest
pytestmark = pytest.mark.resilience

@pytest.mark.requirement("R1")
def test_kept(report): report("R1", "here", "fine")

@pytest.mark.requirement("R2")
def test_failed(report):
    report("R2", "here", "bad")
    assert False

@pytest.mark.requirement("R3")
def test_failed_before_it_reported(report): assert False

@pytest.fixture
def leaves_something_behind():
    yield
    assert False

@pytest.mark.requirement("R4")
def test_left_something_behind(report, leaves_something_behind): report("R4", "here", "fine so far")

@pytest.mark.requirement("R5")
def test_reports_what_it_is_not_bound_to(report): report("R7", "here", "fine")
"""


def drill(folder: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    """Run pytest as `make resilience` does; its exit status, what it said, and the report."""
    target = folder / "report.json"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=os.environ | {"RESILIENCE_JSON": str(target)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return run.returncode, run.stdout, json.loads(target.read_text()) if target.exists() else {}


def test_only_a_test_that_passed_from_beginning_to_end_keeps_its_promise(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    status, said, told = drill(tmp_path, str(tmp_path), "-c", str(ROOT / "pyproject.toml"))
    assert status == 1, said
    results = {row["promise"]: row["result"] for row in told["promises"]}
    assert results == {"R1": "kept", "R2": "FAILED", "R3": "FAILED", "R4": "FAILED", "R5": "FAILED"}
    assert "no figures: test_failed_before_it_reported" in said
    assert told["missing"] == []
    assert told["machine"]["cores"] >= 1
    assert {"began", "seconds", "commit", "mcp", "STORM_SECONDS"} <= told["run"].keys()


def test_a_whole_drill_that_says_nothing_of_a_promise_fails_and_names_it(tmp_path: Path) -> None:
    status, said, told = drill(tmp_path, "tests/resilience", "--collect-only")
    assert status == 1
    assert told["missing"] == list(PROMISES)
    assert "The drill fails: nothing was reported for R1, " in said


def test_a_part_of_the_drill_owes_nothing(tmp_path: Path) -> None:
    status, said, _ = drill(tmp_path, "tests/resilience", "-k", "hangs", "--collect-only")
    assert status == 0, said


def test_a_promise_without_a_row_is_missing() -> None:
    rows = [Row(promise, "here", "fine", is_kept=True) for promise in PROMISES if promise != "R8"]
    assert missing_from(rows) == ["R8"]


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_of_the_drill_stands_in_the_ledger_or_is_being_built(promise: str) -> None:
    assert promise in {entry.id for entry in LEDGER} | {"R6"}
