"""R12: whatever a configuration or a schema holds, it is taken, or refused in words.

Tens of thousands of cases each in the drill, a few hundred in `make test`. The strategies are those of the unit tests;
what is sent to a gateway is in `test_fuzz_gateway`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resilience.conftest import Report
from tests.resilience.shares import FUZZING, cases_of
from tests.unit.config.test_fuzz import FRAGMENTS, MAPPINGS, outcome_of
from tests.unit.registry.test_hostile_schemas import KEYWORDS
from trunkline.registry.schema import compile_schema

pytestmark = [pytest.mark.resilience, pytest.mark.requirement("R12"), pytest.mark.timeout(1800)]

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def test_any_mapping_is_a_configuration_or_an_error_in_words(report: Report) -> None:
    cases = Counter[str]()

    @settings(FUZZING, max_examples=cases_of("configuration"))
    @given(MAPPINGS)
    def mapping(said: dict[str, Any]) -> None:
        cases["mapping"] += 1
        outcome_of("configuration", said)

    @settings(FUZZING, max_examples=cases_of("configuration files"))
    @given(st.sampled_from(["x.toml", "x.json"]), st.lists(FRAGMENTS | st.text(max_size=4), max_size=12))
    def text(name: str, pieces: list[str]) -> None:
        cases["text"] += 1
        outcome_of(name, "".join(pieces).encode(errors="replace"))

    mapping()
    text()
    report("R12", "configuration", f"{cases.total():,} cases, 0 crashes")
    assert cases["mapping"] >= cases_of("configuration")
    assert cases["text"] >= cases_of("configuration files")


def test_any_schema_with_any_arguments_is_judged_or_given_up_and_never_raises(report: Report) -> None:
    cases = 0
    schemas = st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.text(max_size=3), inner, max_size=4),
    )

    @settings(FUZZING, max_examples=cases_of("schemas"))
    @given(schemas, st.dictionaries(st.text(max_size=4), JSON, max_size=3))
    def judged(schema: Any, arguments: dict[str, Any]) -> None:
        nonlocal cases
        cases += 1
        problems = compile_schema(schema).problems(arguments)
        # Not `isprintable`: which characters are assigned changes with Python's version.
        assert not {category(letter) for problem in problems for letter in problem} & {"Cc", "Cs", "Zl", "Zp"}

    judged()
    report("R12", "schemas", f"{cases:,} cases, 0 crashes")
    assert cases >= cases_of("schemas")
