"""JSON Merge Patch: a difference, applied, gives the new document, and is as RFC 7396 has it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.merge_patch import difference, patched

SCALARS = st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]) | st.lists(st.integers(0, 2), max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), SCALARS | inner, max_size=4),
    max_leaves=12,
)


@given(OBJECTS, OBJECTS)
def test_the_difference_applied_to_the_old_gives_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = difference(old, new)
    assert patched(old, patch) == new
    assert (patch == {}) == (old == new)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_does_what_the_examples_of_the_rfc_say(target: Any, patch: Any, result: Any) -> None:
    assert patched(target, patch) == result


def test_a_patch_leaves_the_document_it_is_applied_to_as_it_was() -> None:
    old = {"a": {"b": 1, "c": 2}}
    patched(old, {"a": {"b": 9, "c": None}})
    assert old == {"a": {"b": 1, "c": 2}}
