"""docs/security.md: every test that it names exists, every test of tests/security is in it, its configuration loads."""

from __future__ import annotations

import ast
import re
import tomllib

from tests.unit.documentation.guide import ROOT, Guide
from trunkline.config import load

GUIDE = Guide("security")
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUIDE.text))


def names_in(path: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_attack_has_what_stops_it_and_a_test_that_exists() -> None:
    rows = [line.split(" | ") for line in GUIDE.text.splitlines() if "`tests/" in line]
    assert len(rows) > 25
    assert [row for row in rows if len(row) != 3 or not row[1].strip()] == []
    assert [(path, name) for path, name in sorted(NAMED) if name not in names_in(path)] == []


def test_every_attack_that_is_tried_is_in_the_table() -> None:
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "security").glob("test_*.py"))
    assert files
    assert [(path, name) for path in files for name in names_in(path) if (path, name) not in NAMED] == []


def test_every_configuration_in_the_guide_loads_and_says_nothing_is_amiss() -> None:
    assert GUIDE.blocks("toml")
    for block in GUIDE.blocks("toml"):
        assert load(tomllib.loads(block), environ={}).notices == ()
