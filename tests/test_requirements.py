"""The ledger and the tests agree: what is built is shown by a test, and no test shows what nobody promised."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements_ledger import LEDGER

ROOT = Path(__file__).resolve().parents[1]


def bound_ids(source: str) -> Iterator[str]:
    """Every id in a `pytest.mark.requirement(…)` of one test file: on a test, a class, a module or a parameter."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="requirement"), args=ids):
                for argument in ids:
                    value = ast.literal_eval(argument)
                    assert isinstance(value, str), f"line {node.lineno}: an id is a string"
                    yield value


@pytest.fixture(scope="module")
def bound() -> Counter[str]:
    """How many times each id is bound by the tests of this repository."""
    return Counter(
        requirement
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for requirement in bound_ids(path.read_text("utf-8"))
    )


def test_every_id_names_one_requirement() -> None:
    assert [name for name, count in Counter(entry.id for entry in LEDGER).items() if count > 1] == []


def test_every_built_requirement_is_shown_by_a_test(bound: Counter[str]) -> None:
    assert [entry.id for entry in LEDGER if entry.planned is None and entry.id not in bound] == []


def test_every_id_that_a_test_claims_is_in_the_ledger(bound: Counter[str]) -> None:
    assert sorted(bound.keys() - {entry.id for entry in LEDGER}) == []


def test_a_planned_requirement_that_has_a_test_is_no_longer_planned(bound: Counter[str]) -> None:
    assert [entry.id for entry in LEDGER if entry.planned is not None and entry.id in bound] == []


def test_an_id_is_found_on_a_test_a_module_and_a_parameter() -> None:
    source = """
pytestmark = [pytest.mark.requirement("A")]
@pytest.mark.requirement("B", "C")
def test_one(): ...
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("D"))])
async def test_two(x): ...
"""
    assert sorted(bound_ids(source)) == ["A", "B", "C", "D"]


@pytest.mark.requirement("SEED-TEST-1")
def test_every_package_has_unit_tests_of_its_own() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "trunkline").glob("*/__init__.py")}
    tested = {
        path.relative_to(ROOT / "tests" / "unit").parts[0] for path in (ROOT / "tests" / "unit").rglob("test_*.py")
    }
    assert sorted(packages - tested) == []
