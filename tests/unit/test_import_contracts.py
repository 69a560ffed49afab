"""The architecture is enforced: each contract of pyproject.toml breaks when, and only when, its rule is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Lint = Callable[[Mapping[str, str]], tuple[int, list[str]]]


@pytest.fixture
def lint(tmp_path: Path) -> Lint:
    """Lint a copy of the package with lines added to some of its files: (exit status, names of broken contracts)."""
    package = tmp_path / "trunkline"
    shutil.copytree(ROOT / "src" / "trunkline", package, ignore=shutil.ignore_patterns("__pycache__"))

    def run(additions: Mapping[str, str]) -> tuple[int, list[str]]:
        for name, line in additions.items():
            with (package / name).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
        program = Path(sys.executable).with_name("lint-imports")
        done = subprocess.run(
            [program, "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        verdicts = re.findall(r"^(.+?) (?:KEPT|BROKEN)\b", plain, flags=re.MULTILINE)
        assert len(verdicts) == 7, done.stdout + done.stderr
        return done.returncode, re.findall(r"^(.+?) BROKEN\b", plain, flags=re.MULTILINE)

    return run


def test_the_package_as_it_is_keeps_every_contract(lint: Lint) -> None:
    assert lint({}) == (0, [])


def test_a_type_that_is_only_named_is_no_dependency(lint: Lint) -> None:
    named = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import random"
    assert lint({"resilience/named.py": named}) == (0, [])


@pytest.mark.parametrize(
    ("additions", "broken"),
    [
        pytest.param({"events.py": "import trunkline.policy"}, "Dependencies point down", id="upward import"),
        pytest.param({"utils.py": "everything = 1"}, "Dependencies point down", id="module without a place"),
        pytest.param(
            {"registry/direct.py": "import mcp"},
            "Only transport, gateway and testing speak MCP",
            id="sdk",
        ),
        pytest.param({"cache/hasty.py": "import redis"}, "Only its adapter speaks through redis-py", id="redis"),
        pytest.param(
            {"monitoring/hasty.py": "import opentelemetry.trace"},
            "Only its adapter speaks OpenTelemetry",
            id="opentelemetry",
        ),
        pytest.param(
            {"resilience/hasty.py": "import time"}, "Decisions know no clock, no loop, no dice and no log", id="clock"
        ),
        pytest.param({"monitoring/nosy.py": "import trunkline.pool"}, "Monitoring sees events only", id="monitoring"),
        pytest.param(
            {"layers/one_more.py": "", "layers/knowing.py": "import trunkline.layers.one_more"},
            "No layer knows another",
            id="layer",
        ),
    ],
)
def test_a_seeded_violation_breaks_its_contract_and_no_other(
    lint: Lint, additions: Mapping[str, str], broken: str
) -> None:
    status, names = lint(additions)
    assert status != 0
    assert names == [broken]
