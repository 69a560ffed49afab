"""R12: whatever a configuration or a schema holds, it is taken, or refused in words.

Tens of thousands of cases each in the drill, a few hundred in `make test`. The strategies are those of the unit tests.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.resilience.conftest import Report
from tests.unit.config.test_fuzz import FRAGMENTS, MAPPINGS, outcome_of
from tests.unit.registry.test_hostile_schemas import KEYWORDS
from trunkline.registry.schema import compile_schema

pytestmark = [pytest.mark.resilience, pytest.mark.requirement("R12"), pytest.mark.timeout(1800)]

SCALE = 100 if "STORM_SECONDS" in os.environ else 1
FUZZING = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=SCALE == 1, print_blob=True
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def test_any_mapping_is_a_configuration_or_an_error_in_words(report: Report) -> None:
    cases = 0

    @settings(FUZZING, max_examples=300 * SCALE)
    @given(MAPPINGS)
    def mapping(said: dict[str, Any]) -> None:
        nonlocal cases
        cases += 1
        outcome_of("configuration", said)

    @settings(FUZZING, max_examples=150 * SCALE)
    @given(st.sampled_from(["x.toml", "x.json"]), st.lists(FRAGMENTS | st.text(max_size=4), max_size=12))
    def text(name: str, pieces: list[str]) -> None:
        nonlocal cases
        cases += 1
        outcome_of(name, "".join(pieces).encode(errors="replace"))

    mapping()
    text()
    report("R12", "configuration", f"{cases:,} cases, 0 crashes")
    assert cases >= 200


def test_any_schema_with_any_arguments_is_judged_or_given_up_and_never_raises(report: Report) -> None:
    cases = 0
    schemas = st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.text(max_size=3), inner, max_size=4),
    )

    @settings(FUZZING, max_examples=300 * SCALE)
    @given(schemas, st.dictionaries(st.text(max_size=4), JSON, max_size=3))
    def judged(schema: Any, arguments: dict[str, Any]) -> None:
        nonlocal cases
        cases += 1
        problems = compile_schema(schema).problems(arguments)
        assert all(isinstance(problem, str) and problem.isprintable() for problem in problems)

    judged()
    report("R12", "schemas", f"{cases:,} cases, 0 crashes")
    assert cases >= 200
