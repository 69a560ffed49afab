"""Our validator and plain jsonschema say the same about every schema both can use."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

from trunkline.registry.document import read_document
from trunkline.registry.flat import flat_check
from trunkline.registry.schema import compile_schema

NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 0.5, 1.0, -2.0]) | st.text("abx", max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
LIMITS = st.integers(0, 3)


def parameters(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr)
            | st.lists(st.text("abx", max_size=2), min_size=1, max_size=3, unique=True),
            "minimum": LIMITS,
            "maximum": LIMITS,
            "minLength": LIMITS,
            "maxLength": LIMITS,
            "minItems": LIMITS,
            "maxItems": LIMITS,
            "uniqueItems": st.booleans(),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "description": st.just("a text"),
        },
    )


FLAT = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(NAMES, parameters(parameters(st.booleans())), max_size=3),
    },
    optional={
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans() | parameters(st.booleans()),
    },
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c", "^(a)*$"]), inner, max_size=2),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=1),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
            "propertyNames": st.fixed_dictionaries({"pattern": st.sampled_from(["^a", "^[ab]+$"])}),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "contains": inner,
            "maxContains": LIMITS,
            "unevaluatedItems": inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "const": SCALARS,
            "exclusiveMinimum": LIMITS,
            "multipleOf": st.sampled_from([2, 0.5]),
            "pattern": st.sampled_from(["^a", "b$", "^[abx]*$"]),
            "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
        },
    )


NESTED = st.recursive(st.booleans() | parameters(st.booleans()), nested, max_leaves=6)
DOCUMENTS = st.builds(
    lambda root, a, b: {**root, "$defs": {"a": a, "b": b}}, nested(NESTED), NESTED, parameters(st.booleans())
)


@settings(max_examples=200)
@given(schema=FLAT, arguments=ARGUMENTS)
def test_flat_schemas_are_judged_as_jsonschema_judges_them(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    validator = compile_schema(schema)
    assert validator.reason is None
    assert (validator.problems(arguments) == ()) == Draft202012Validator(schema).is_valid(arguments)


@settings(max_examples=200)
@given(schema=FLAT, arguments=ARGUMENTS)
def test_the_quick_yes_is_never_wrong(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    fits = flat_check(read_document(schema).schema)
    assert fits is not None
    assert not fits(arguments) or Draft202012Validator(schema).is_valid(arguments)


@settings(max_examples=60)
@given(schema=DOCUMENTS, arguments=ARGUMENTS)
def test_nested_schemas_are_judged_as_jsonschema_judges_them(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    validator = compile_schema(schema)
    if validator.reason is None and not validator.ignored:
        assert (validator.problems(arguments) == ()) == Draft202012Validator(schema).is_valid(arguments)


@given(schema=FLAT, arguments=ARGUMENTS, dialect=st.sampled_from([Draft4Validator, Draft7Validator]))
def test_older_dialects_are_judged_as_jsonschema_judges_them(
    schema: dict[str, Any], arguments: dict[str, Any], dialect: Any
) -> None:
    named = {**schema, "$schema": dialect.META_SCHEMA["$schema"]}
    validator = compile_schema(named)
    if validator.reason is None:
        assert (validator.problems(arguments) == ()) == dialect(named).is_valid(arguments)


def test_the_usual_schemas_are_answered_by_the_quick_yes() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "mode": {"enum": ["fast", "slow"], "type": "string"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Note"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    fits = flat_check(read_document(schema).schema)
    assert fits is not None
    assert fits({"text": "a", "limit": 5, "mode": "fast", "note": None, "tags": ["x"]})
    assert not fits({"text": "a", "extra": 1})
