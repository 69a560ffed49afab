"""Names, patterns, and which of them counts."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import ToolPolicy
from trunkline.registry.tool_policies import ToolPolicies


def policies(*names: str) -> tuple[ToolPolicies, dict[ToolPolicy, str]]:
    made = {name: ToolPolicy(timeout=number + 1.0) for number, name in enumerate(names)}
    return ToolPolicies(made), {policy: name for name, policy in made.items()}


@pytest.mark.parametrize(
    ("names", "tool", "counts"),
    [
        (("search_*", "search_web", "*"), "search_web", "search_web"),
        (("*", "search_*", "*_web"), "search_web", "search_*"),
        (("*", "search_*", "*_web"), "files_web", "*_web"),
        (("*", "search_*"), "other", "*"),
        (("search_*",), "search_", "search_*"),
        (("*b*", "*a*"), "ab", "*b*"),
        (("a*b*c",), "a_b_b_c", "a*b*c"),
        (("a**c",), "abc", "a**c"),
    ],
)
def test_the_exact_name_wins_then_the_longest_pattern_then_the_first(
    names: tuple[str, ...], tool: str, counts: str
) -> None:
    found, by_policy = policies(*names)
    assert by_policy[found.of(tool)] == counts


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("search_*", "Search_web"),
        ("search_*", "research_web"),
        ("a*a", "a"),
        ("a*b*c", "acb"),
        ("a.c*", "abc"),
        ("a?", "ab"),
    ],
)
def test_what_does_not_fit_leaves_the_tool_without_a_policy_of_its_own(name: str, tool: str) -> None:
    found, _ = policies(name)
    assert found.of(tool) == ToolPolicy()


@given(st.text("ab_*", max_size=8), st.text("ab_", max_size=8))
def test_a_pattern_fits_what_the_same_regular_expression_fits(pattern: str, name: str) -> None:
    found, _ = policies(pattern)
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name)
    assert (found.of(name) != ToolPolicy()) == (expected is not None)


def test_a_tool_named_to_make_patterns_slow_does_not() -> None:
    found, _ = policies("*a" * 60 + "b")
    started = time.perf_counter()
    assert found.of("a" * 128) == ToolPolicy()
    assert time.perf_counter() - started < 1.0


def test_what_it_holds_shows() -> None:
    assert repr(policies("a", "b*", "*")[0]) == "<ToolPolicies [1 names, 2 patterns]>"
