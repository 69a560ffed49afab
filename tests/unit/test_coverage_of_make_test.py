"""`make test` measures all of the package, and ends with pytest's own closing line."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS_OWN = "tests/unit/testing/test_plugin.py"


def environment() -> dict[str, str]:
    """That of somebody who calls make: neither make nor pytest runs yet."""
    ours = ("MAKE", "COVERAGE", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def command(arguments: str) -> str:
    """What `make test` does, with its tests alone and none of its installing."""
    told = subprocess.run(
        ["make", "--dry-run", "test", f"ARGS={arguments}"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip().splitlines()[-1]


def made(arguments: str, data_file: Path) -> list[str]:
    """The lines that `make test` prints for some of the tests."""
    done = subprocess.run(
        ["sh", "-c", command(arguments)],
        cwd=ROOT,
        env=environment() | {"COVERAGE_FILE": str(data_file)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("spread", ["", "--numprocesses 2"], ids=["one process", "spread"])
def test_what_is_imported_before_any_plugin_is_measured_too_and_the_closing_line_is_pytests(
    spread: str, tmp_path: Path
) -> None:
    lines = made(f"{PLUGINS_OWN} -p no:cacheprovider {spread}", tmp_path / "coverage")
    assert re.fullmatch(r"=+ \d+ passed in .*=+", lines[-1])
    assert any(re.match(r"TOTAL +\d+", line) for line in lines)
    assert [line for line in lines if "trunkline/testing/plugin.py" in line] == [], "complete, and so not listed"
