"""The house rules hold here, and each of them is noticed when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def verdict(root: Path) -> tuple[int, str]:
    """Run the check of the repository at `root`: its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, "tools/house_rules.py"], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository with the check in it."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "house_rules.py", tmp_path / "tools")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, env=environment, timeout=60, check=True)
    return tmp_path


@pytest.mark.requirement("SEED-SIZE-1")
def test_this_repository_keeps_its_rules() -> None:
    assert verdict(ROOT) == (0, "")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        pytest.param("src/long.py", "a = 1\n" * 251, "src/long.py:251: has 251 lines", id="too long"),
        pytest.param("docs/a.md", "see https://" + "pypi" + ".org\n", "docs/a.md:1: names a package", id="host"),
        pytest.param("a.toml", 'x = "/' + 'root/.cache"\n', "a.toml:1: names a path of one machine", id="path"),
        pytest.param("src/a.py", "try:\n    x()\nexcept Exception:\n    y()\n", "src/a.py:3: catches", id="boundary"),
        pytest.param("src/a.py", "# TODO\n", "src/a.py:1: is unfinished", id="unfinished"),
        pytest.param("tests/a.py", "@pytest.mark." + "skip\n", "tests/a.py:1: skips", id="skip"),
    ],
)
@pytest.mark.requirement("SEED-SIZE-1")
def test_a_breach_is_named_with_its_file_and_line(repository: Path, file: str, text: str, expected: str) -> None:
    (repository / file).parent.mkdir(exist_ok=True)
    (repository / file).write_text(text, "utf-8")
    status, printed = verdict(repository)
    assert status == 1
    assert printed.startswith(expected)
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param("except Exception:  # boundary: an observer's bug\n    y()\n", id="reason"),
        pytest.param("except BaseException:\n    y()\n    raise\n", id="passed on"),
        pytest.param("except ValueError:\n    y()\n", id="narrow"),
    ],
)
def test_a_handler_that_gives_its_reason_or_lets_go_on_is_no_breach(repository: Path, handler: str) -> None:
    (repository / "src").mkdir()
    (repository / "src" / "a.py").write_text(f"try:\n    x()\n{handler}", "utf-8")
    assert verdict(repository) == (0, "")


def test_a_file_of_exactly_the_limit_is_no_breach(repository: Path) -> None:
    (repository / "src").mkdir()
    (repository / "src" / "limit.py").write_text("a = 1\n" * 250, "utf-8")
    assert verdict(repository) == (0, "")
