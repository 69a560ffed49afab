"""Any change of what a model or a person relies on is another fingerprint; the order of keys is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mcp_types import Icon, ToolAnnotations
from mcp_types import Tool as Definition

from trunkline.registry.fingerprint import PARTS, fingerprint, part_fingerprints

TEXTS = st.none() | st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)
HINTS = st.none() | st.booleans()
ANNOTATIONS = st.none() | st.builds(
    ToolAnnotations,
    title=TEXTS,
    read_only_hint=HINTS,
    destructive_hint=HINTS,
    idempotent_hint=HINTS,
    open_world_hint=HINTS,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": TEXTS,
    "description": TEXTS,
    "input_schema": SCHEMAS,
    "output_schema": st.none() | SCHEMAS,
    "annotations": ANNOTATIONS,
}
DEFINITIONS = st.fixed_dictionaries({"name": st.text(max_size=6), **FIELDS})
PART_OF = dict(zip(FIELDS, PARTS, strict=True))


def reordered(value: Any) -> Any:
    """The same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(inner) for key, inner in reversed(list(value.items()))}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(fields=DEFINITIONS, field=st.sampled_from(list(FIELDS)), data=st.data())
def test_a_change_of_any_part_changes_the_fingerprint_and_that_of_this_part_alone(
    fields: dict[str, Any], field: str, data: st.DataObject
) -> None:
    other = data.draw(FIELDS[field])
    # True is 1 in Python, and not in JSON.
    assume(repr(other) != repr(fields[field]) and reordered(other) != reordered(fields[field]))
    one, two = Definition(**fields), Definition(**{**fields, field: other})
    assert fingerprint(one) != fingerprint(two)
    before, after = part_fingerprints(one), part_fingerprints(two)
    assert [part for part in PARTS if before.get(part) != after.get(part)] == [PART_OF[field]]


@given(fields=DEFINITIONS, name=st.text(max_size=6))
def test_another_name_is_another_fingerprint_with_the_same_parts(fields: dict[str, Any], name: str) -> None:
    assume(name != fields["name"])
    one, two = Definition(**fields), Definition(**{**fields, "name": name})
    assert fingerprint(one) != fingerprint(two)
    assert part_fingerprints(one) == part_fingerprints(two)


@given(fields=DEFINITIONS)
def test_the_order_of_keys_changes_no_fingerprint(fields: dict[str, Any]) -> None:
    schemas = {name: reordered(fields[name]) for name in ("input_schema", "output_schema")}
    assert part_fingerprints(Definition(**{**fields, **schemas})) == part_fingerprints(Definition(**fields))


def test_true_and_one_are_two_things() -> None:
    one, two = (Definition(name="a", input_schema={"const": value}) for value in (True, 1))
    assert fingerprint(one) != fingerprint(two)


def test_what_nobody_is_told_in_words_and_may_differ_at_each_listing_is_left_out() -> None:
    plain = Definition(name="a", input_schema={})
    decorated = Definition(
        name="a", input_schema={}, icons=[Icon(src="https://x.example/1?signed=2")], _meta={"listed": 1}
    )
    assert fingerprint(plain) == fingerprint(decorated)


def test_a_part_that_is_not_there_has_no_fingerprint() -> None:
    assert list(part_fingerprints(Definition(name="a", input_schema={}))) == ["inputSchema"]


def test_a_definition_that_contains_itself_has_no_fingerprint() -> None:
    definition = Definition(name="a", input_schema={"type": "object"})
    definition.input_schema["properties"] = definition.input_schema
    with pytest.raises(ValueError, match="no JSON form"):
        fingerprint(definition)
