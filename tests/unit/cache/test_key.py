"""Two calls have the same key only if they ask the same, of the same server and for the same principal."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.cache.plans import a_plan
from trunkline.cache.key import Keys, KeySpace, NotCanonical, canonical, shard_of
from trunkline.endpoint import HttpEndpoint, StdioEndpoint

TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=3)


def told(value: Any) -> Any:
    """The value with every difference of type made visible, and differences of order gone."""
    if isinstance(value, dict):
        return "dict", tuple(sorted((name, told(inner)) for name, inner in value.items()))
    if isinstance(value, list):
        return "list", tuple(told(inner) for inner in value)
    return type(value).__name__, repr(value)


def a_space(*parts: Any, name: str = "s_read") -> KeySpace:
    return KeySpace(parts, tags=("all",), name=name, is_shareable=True)


@given(ARGUMENTS, ARGUMENTS)
@example({"a": 1}, {"a": 1.0})
@example({"a": 1}, {"a": True})
@example({"a": 2**53}, {"a": 2**53 + 1})
@example({"a": 0.0}, {"a": -0.0})
@example({"a": [1, [2]]}, {"a": [[1], 2]})
@example({"a": "é"}, {"a": "é"})
@example({"a": None}, {})
@example({"a": "1"}, {"a": 1})
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
def test_two_arguments_are_written_alike_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) == (told(one) == told(other))


@given(ARGUMENTS)
def test_what_is_written_reads_as_what_it_was(arguments: Any) -> None:
    assert told(json.loads(canonical(arguments))) == told(arguments)


class Unwritable:
    """No JSON."""


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="nan"),
        pytest.param(math.inf, id="infinity"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("\ud83d\ude00", id="two surrogates that look like one character"),
        pytest.param({1: "a"}, id="a number as a key"),
        pytest.param([{"a": ({True: 1},)}], id="a key deep inside"),
        pytest.param({"\ud800": 1}, id="surrogate as a key"),
        pytest.param(10**5000, id="a number too long to write"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param(Unwritable(), id="an object"),
        pytest.param(CIRCULAR, id="circular"),
    ],
)
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical({"value": value})
    for _ in range(2):
        with pytest.raises(NotCanonical):
            Keys().key(a_space(), {"value": value})


def test_a_long_whole_number_is_exact() -> None:
    assert canonical({"n": 10**40 + 1}) != canonical({"n": 10**40})


@given(st.lists(ARGUMENTS, max_size=6), st.integers(1, 3))
def test_a_remembered_key_is_the_one_that_would_be_made(several: list[Any], limit: int) -> None:
    keys, spaces = Keys(limit), [a_space("one"), a_space("two")]
    for arguments in [*several, *several]:
        for space in spaces:
            assert keys.key(space, arguments) == space.key(arguments)


def test_remembered_keys_tell_apart_what_json_does() -> None:
    keys, space = Keys(), a_space()
    digests = {keys.key(space, {"a": value}).digest for value in (1, 1.0, True, "1", None, [1], 0.0, -0.0)}
    assert len(digests) == 8


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3), ARGUMENTS, ARGUMENTS)
@example(["a"], [], {}, {"a": 1})
def test_whatever_differs_makes_another_key(one: Any, other: Any, mine: Any, theirs: Any) -> None:
    is_same = told([one, mine]) == told([other, theirs])
    assert (a_space(*one).key(mine).digest == a_space(*other).key(theirs).digest) == is_same


def test_principals_and_nobody_and_everybody_have_keys_of_their_own() -> None:
    plan = a_plan()
    spaces = [plan.space(who) for who in ("ada", "bob", "", "1", "null", None)]
    spaces.append(plan.space(None, is_public=True))
    spaces.append(a_plan(namespace="other").space("ada"))
    assert len({space.key({}).digest for space in spaces}) == len(spaces)


def test_only_what_has_a_known_principal_may_leave_the_process() -> None:
    plan = a_plan()
    assert plan.space("ada").key({}).is_shareable
    assert not plan.space(None).key({}).is_shareable
    assert plan.space(None, is_public=True).key({}).is_shareable


def test_no_principal_and_no_argument_can_be_read_from_a_key() -> None:
    key = a_plan().space("ada@example.com").key({"token": "sesame"})
    assert "ada" not in str(key)
    assert "sesame" not in str(key)


def test_the_tags_of_a_key_name_what_it_can_be_invalidated_by() -> None:
    key = a_plan().space("ada").key({"n": 1})
    kinds = [tag.partition(":")[0] for tag in key.tags]
    assert kinds == ["all", "server", "tool", "principal", "mine", "shard"]
    assert key.tags[-1] == shard_of("s_known", {"n": 1})


def test_a_call_is_in_the_same_part_of_all_keys_whoever_makes_it() -> None:
    plan = a_plan()
    assert plan.space("ada").key({"n": 1}).tags[-1] == plan.space("bob").key({"n": 1}).tags[-1]
    assert shard_of("s_known", {}) != shard_of("s_other", {})


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (HttpEndpoint("https://u:p@h/mcp"), HttpEndpoint("https://h/mcp"), True),
        (HttpEndpoint("https://h/mcp?tenant=1"), HttpEndpoint("https://h/mcp?tenant=2"), False),
        (HttpEndpoint("https://h/mcp"), HttpEndpoint("https://h:8443/mcp"), False),
        (StdioEndpoint("npx", ("one",)), StdioEndpoint("npx", ("two",)), False),
        (StdioEndpoint("npx", cwd="a"), StdioEndpoint("npx", cwd="b"), False),
        (StdioEndpoint("npx", ("a", "b")), StdioEndpoint("npx", ("a b",)), False),
    ],
)
def test_a_server_is_told_from_others_by_where_it_is_and_not_by_who_logs_in(
    one: Any, other: Any, is_same: bool
) -> None:
    assert (one.identity == other.identity) == is_same


def test_long_arguments_are_not_remembered() -> None:
    keys, space = Keys(), a_space()
    long = {"text": "x" * 10_000}
    assert keys.key(space, long) == keys.key(space, long) == space.key(long)
    assert keys._known == {}
