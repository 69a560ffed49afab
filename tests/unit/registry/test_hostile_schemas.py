"""A schema is a stranger's text: whatever it says, a call is not blocked by it and the work stays bounded."""

from __future__ import annotations

import time
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.registry.document import MAX_BYTES, MAX_DEPTH, MAX_NODES
from trunkline.registry.metered import BUDGET, Meter, OutOfBudget
from trunkline.registry.schema import compile_schema

BOUND = 10.0
"""Seconds: generous for a busy machine, and nothing beside the years an unbounded check would take."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYWORDS = st.sampled_from(
    [
        *("$ref", "$id", "$anchor", "$schema", "$defs", "$dynamicRef", "$dynamicAnchor", "allOf", "anyOf", "oneOf"),
        *("not", "if", "then", "else", "properties", "patternProperties", "additionalProperties", "items"),
        *("prefixItems", "contains", "required", "type", "enum", "const", "pattern", "minimum", "multipleOf"),
        *("dependentSchemas", "dependentRequired", "unevaluatedProperties", "unevaluatedItems", "uniqueItems"),
    ]
)
schema_like = st.recursive(
    st.sampled_from(
        ["#", "#/$defs/a", "string", "object", "(a+)+", "^a*$", "[", "http://x/", True, False, None, -1, 0.5]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.sampled_from(["a", "b"]), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(schema=json_values, arguments=st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_makes_a_validator_that_answers(schema: Any, arguments: dict[str, Any]) -> None:
    started = time.monotonic()
    assert isinstance(compile_schema(schema).problems(arguments), tuple)
    assert time.monotonic() - started < BOUND


@given(schema=schema_like, arguments=st.dictionaries(st.sampled_from(["a", "b"]), json_values, max_size=2))
def test_anything_that_looks_like_a_schema_makes_a_validator_that_answers(
    schema: Any, arguments: dict[str, Any]
) -> None:
    started = time.monotonic()
    validator = compile_schema(schema)
    found = validator.problems(arguments)
    assert time.monotonic() - started < BOUND
    assert found == () or validator.reason is None
    # Not `isprintable`: which characters are assigned changes with Python's version.
    assert not {category(letter) for line in found for letter in line} & {"Cc", "Cs", "Zl", "Zp"}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def looped() -> dict[str, Any]:
    schema: dict[str, Any] = {}
    schema["properties"] = {"a": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ([], "not a JSON object"),
        (deep(MAX_DEPTH + 1), "deeper than"),
        (looped(), "deeper than"),
        ({"enum": list(range(MAX_NODES))}, "larger than 20000 nodes"),
        ({"const": "x" * MAX_BYTES}, "larger than 262144 bytes"),
        ({"minimum": float("nan")}, "not JSON"),
        ({"const": object()}, "not JSON"),
        ({"properties": {1: {}}}, "not JSON"),
        ({"$schema": "https://example.com/mine"}, "dialect"),
        ({"$schema": 7}, "dialect"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}}, "mixes dialects"),
        ({"$ref": "https://example.com/schema"}, "another document"),
        ({"$ref": "other.json#/a"}, "another document"),
        ({"$ref": "file:///etc/passwd"}, "another document"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"$ref": "#missing"}, "leads nowhere"),
        ({"$ref": "#/properties", "properties": {}}, "leads nowhere"),
        ({"$ref": "#/const", "const": {}}, "leads nowhere"),
        ({"properties": {"a": {"$id": "https://example.com/a", "$ref": "#"}}}, "parts with URIs"),
        ({"$ref": "#"}, "refers to itself"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}, "refers to itself"),
        (
            {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#"}}},
            "itself",
        ),
        ({"required": "text"}, "#/required"),
        ({"type": "strng"}, "#/type"),
        ({"type": []}, "#/type"),
        ({"properties": []}, "#/properties"),
        ({"properties": {"a": 1}}, "#/properties/a"),
        ({"allOf": {}}, "#/allOf"),
        ({"anyOf": []}, "#/anyOf"),
        ({"items": [{}]}, "#/items"),
        ({"minLength": -1}, "#/minLength"),
        ({"minLength": True}, "#/minLength"),
        ({"exclusiveMinimum": True}, "#/exclusiveMinimum"),
        ({"multipleOf": 0}, "#/multipleOf"),
        ({"pattern": 1}, "#/pattern"),
        ({"$ref": 1}, "reference"),
    ],
)
def test_an_unusable_schema_lets_arguments_pass_and_says_why(schema: Any, reason: str) -> None:
    validator = compile_schema(schema)
    assert validator.reason is not None
    assert reason in validator.reason
    assert validator.reason.isprintable()
    assert validator.problems({"a": 1}) == ()
    assert repr(validator).startswith("<SchemaValidator [unchecked: ")


def test_a_schema_at_the_limits_is_still_checked() -> None:
    assert compile_schema(deep(MAX_DEPTH - 1)).reason is None
    assert compile_schema({"enum": list(range(MAX_NODES - 2))}).reason is None


def doubling(keyword: str, last: Any, levels: int = 40) -> dict[str, Any]:
    """Each level asks for the next one twice: 2 ** levels checks in a few kilobytes."""
    definitions: dict[str, Any] = {
        f"d{level}": {keyword: [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": last}}


def twice_when_present(levels: int = 40) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{level}": {"dependentSchemas": {name: {"$ref": f"#/$defs/d{level + 1}"} for name in "ab"}}
        for level in range(levels)
    }
    return {
        "unevaluatedProperties": False,
        "$ref": "#/$defs/d0",
        "$defs": {**definitions, f"d{levels}": {"type": "object"}},
    }


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (doubling("allOf", {"type": "object"}), {}),
        (doubling("anyOf", {"type": "array"}), {}),
        (doubling("oneOf", {"type": "object"}), {}),
        (twice_when_present(), {"a": 1, "b": 2}),
        ({"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}, nested(60)),
        ({"properties": {"a": {"$ref": "#"}}}, nested(20_000)),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [nested(20_000)]}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"a": index} for index in range(50_000)]}),
        ({"properties": {"a": {"anyOf": [{"type": "array"}, {"type": "null"}] * 2_000}}}, {"a": "x" * 1_000_000}),
        ({"properties": {"a": {"allOf": [{"contains": {"const": 1}}] * 2_000}}}, {"a": [0] * 50_000}),
        ({"properties": {"a": {"pattern": "^a*a*a*$"}}}, {"a": "a" * 100_000 + "!"}),
        ({"propertyNames": {"pattern": "a*a*a*b"}}, {"a" * 20_000: 1}),
        ({"patternProperties": {"a*a*a*b": {}}, "additionalProperties": False}, {"a" * 20_000: 1}),
        ({"patternProperties": {"(a+)+$": {}}, "additionalProperties": False}, {"a" * 50 + "!": 1}),
        ({"properties": {"a": {"multipleOf": 1e-300}}}, {"a": 10**400}),
    ],
)
def test_a_check_that_would_never_end_is_given_up_and_the_call_passes(schema: Any, arguments: dict[str, Any]) -> None:
    validator = compile_schema(schema)
    assert validator.reason is None
    started = time.monotonic()
    assert validator.problems(arguments) == ()
    assert time.monotonic() - started < BOUND


def test_what_was_found_before_giving_up_counts() -> None:
    schema = {"required": ["a"], "properties": {"b": doubling("allOf", {})["$defs"]["d0"]}, **doubling("allOf", {})}
    assert compile_schema(schema).problems({"b": 1}) == ("arguments.a: required parameter is missing",)


def test_a_dangerous_pattern_is_ignored_and_the_rest_is_enforced() -> None:
    validator = compile_schema({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    assert validator.reason is None
    assert len(validator.ignored) == 1
    assert validator.problems({"a": "b"}) == ()
    assert len(validator.problems({"a": 1})) == 1


def test_names_that_a_dangerous_pattern_may_match_are_not_refused_as_additional() -> None:
    validator = compile_schema({"patternProperties": {"^(x+)+$": {"type": "string"}}, "additionalProperties": False})
    assert validator.problems({"xx": "a", "y": "b"}) == ()


@pytest.mark.parametrize("keyword", ["not", "if"])
def test_where_ignoring_a_pattern_could_refuse_more_nothing_is_checked(keyword: str) -> None:
    validator = compile_schema({"properties": {"a": {keyword: {"pattern": "^(a+)+$"}, "else": False}}})
    assert validator.reason is not None
    assert validator.problems({"a": "b"}) == ()


def test_many_patterns_are_compiled_up_to_a_bound() -> None:
    started = time.monotonic()
    validator = compile_schema({"properties": {f"p{index}": {"pattern": f"^a{index}$"} for index in range(5_000)}})
    assert time.monotonic() - started < BOUND
    assert len(validator.problems({"p0": "b"})) == 1
    assert len(validator.ignored) > 4_000


def test_a_meter_pays_exactly_what_it_has() -> None:
    meter = Meter({})
    meter.charge(BUDGET)
    assert meter.left == 0
    with pytest.raises(OutOfBudget):
        meter.charge(1)
