"""docs/logging.md: its tables are complete, its code is run, its configuration loads."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.documentation.policy_tables import table_of
from trunkline.config import load
from trunkline.monitoring import logging as ours
from trunkline.monitoring.process_log import _TALKATIVE
from trunkline.policy import LoggingPolicy, RepeatsPolicy

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "logging.md").read_text("utf-8")
EXAMPLES = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs_src" / "logging").glob("*.py"))
ROWS = re.findall(r"^\| `trunkline\.([\w.]+)` \| `(\w+)` \| ([^|]+) \| [^|]+ \|$", TEXT, re.MULTILINE)
CONSTANT = {id(ours._DEBUG): "DEBUG", id(ours._INFO): "INFO", id(ours._WARNING): "WARNING"}


def blocks(language: str) -> list[str]:
    """The guide's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_guide_lists_every_event_that_is_logged_with_its_logger_and_level() -> None:
    told = {event: (logger, level) for logger, event, level in ROWS}
    assert len(told) == len(ROWS)
    for logger, event, level in ours._RECORDS.values():
        known = CONSTANT.get(id(level))
        assert told[event][0] == logger
        assert known is None or told[event][1] == known


def test_the_guide_lists_nothing_else_but_what_is_logged_directly() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src" / "trunkline").rglob("*.py"))
    direct = set(re.findall(r'(?:\.(?:exception|error|warning|info)\(|_notice\()\s*"([a-z]+(?:_[a-z]+)+)"', sources))
    folded = {event for _, event, _ in ours._RECORDS.values()}
    assert {event for _, event, _ in ROWS} == folded | direct


@pytest.mark.parametrize("policy", [LoggingPolicy, RepeatsPolicy])
def test_the_guides_table_of_a_policy_is_what_its_fields_say(policy: type[object]) -> None:
    assert f"<!-- policy: {policy.__name__} -->\n{table_of(policy)}\n" in TEXT


def test_every_example_of_the_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs_src/logging"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_code_in_the_guide_stands_in_an_example() -> None:
    code = [line.strip() for block in blocks("python") for line in block.splitlines()]
    assert code
    assert [line for line in code if line and line not in EXAMPLES] == []


def test_the_configuration_in_the_guide_loads_as_it_says() -> None:
    (block,) = blocks("toml")
    policy = load(tomllib.loads(block)).logging
    assert policy == LoggingPolicy("info", "auto", {"trunkline.call": "debug", "httpx2": "info"})


def test_the_guide_names_the_loggers_that_stay_quiet() -> None:
    assert all(f"`{name}`" in TEXT for name in _TALKATIVE)
