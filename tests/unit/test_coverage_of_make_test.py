"""`make test` measures all of the package, and ends with pytest's own closing line."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS_OWN = "tests/unit/testing/test_plugin.py"


def made(arguments: str, data_file: Path) -> list[str]:
    """The lines that `make test` prints for some of the tests, with its tests alone and none of its installing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "COVERAGE"))}
    environment["COVERAGE_FILE"] = str(data_file)
    told = subprocess.run(
        ["make", "--dry-run", "test", f"ARGS={arguments}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    command = told.stdout.strip().splitlines()[-1]
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_what_is_imported_before_any_plugin_is_measured_too_and_the_closing_line_is_pytests(tmp_path: Path) -> None:
    lines = made(f"{PLUGINS_OWN} -p no:cacheprovider", tmp_path / "coverage")
    assert re.fullmatch(r"=+ \d+ passed in .*=+", lines[-1])
    assert any(re.match(r"TOTAL +\d+", line) for line in lines)
    assert [line for line in lines if "trunkline/testing/plugin.py" in line] == [], "complete, and so not listed"
