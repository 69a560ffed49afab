"""Regular expressions are enforced only where their work is known to be bounded."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.registry.pattern import MAX_PATTERN, PatternWork, RefusedPattern, measure


@pytest.mark.parametrize(
    ("pattern", "degree"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", 0),
        (r"^(\d{1,3}\.){3}\d{1,3}$", 0),
        (r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", 0),
        (r"^https?://", 0),
        (r"^[a-z0-9_-]+$", 1),
        (r"^[]^-]+\]$", 1),
        (r"^a{1,500}$", 1),
        (r"^(?:foo|bar)$", 1),
        (r"^[^@]+@[^@]+\.[^@]+$", 3),
        (r"\s+$", 2),
        (r"a{}b{x}", 1),
    ],
)
def test_an_everyday_pattern_has_a_bound(pattern: str, degree: int) -> None:
    assert measure(pattern).degree == degree


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*",
        "([a-z]+)*$",
        "^(a|aa)+$",
        r"^(\w+\s?)*$",
        "(?:(?:a*)b)*",
        "(.*a){20}",
        "(a?){30}a{30}",
        "(a{1,9}){1,99}",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
        "(a)?(?(1)b|c)",
        "(?i)a",
        "(" * 30 + ")" * 30,
        "a" * (MAX_PATTERN + 1),
        "(",
        ")",
        "[",
        "a**",
        "[[a]b",
        r"\p{L}",
        "a{99999999999}",
        "a{999999999}{999999999}",
    ],
)
def test_a_pattern_without_a_known_bound_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedPattern):
        measure(pattern)


def test_the_bound_grows_with_the_text() -> None:
    assert PatternWork(factor=2, degree=3).steps(9) == 2_000


@given(pattern=st.text("ab()[]|*+?{}1,\\^$.-", max_size=25), text=st.text("ab", max_size=200))
def test_a_pattern_that_is_taken_compiles_and_ends_soon(pattern: str, text: str) -> None:
    try:
        work = measure(pattern)
    except RefusedPattern:
        return
    if work.steps(len(text)) < 1_000_000:
        started = time.monotonic()
        re.search(pattern, text)
        assert time.monotonic() - started < 5.0
