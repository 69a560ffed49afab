"""What a caller is told about wrong arguments."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.registry.schema import MAX_PROBLEMS, compile_schema


def an_object(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def problems(schema: dict[str, Any], **arguments: Any) -> tuple[str, ...]:
    validator = compile_schema(schema)
    assert validator.reason is None
    return validator.problems(arguments)


TEXT = {"type": "string"}


def test_arguments_that_fit_have_no_problems() -> None:
    assert problems(an_object(("text",), text=TEXT, count={"type": "integer"}), text="a", count=3) == ()


def test_a_wrong_type_names_the_place_the_value_and_the_expected_type() -> None:
    found = problems(an_object(count={"type": "integer"}), count="3")
    assert found == ('arguments.count: found "3" (string), expected integer',)


def test_an_unknown_parameter_is_answered_with_the_nearest_known_one() -> None:
    assert problems(an_object(text=TEXT), txt="a") == ('arguments.txt: unknown parameter; did you mean "text"?',)


def test_an_unknown_parameter_near_none_is_answered_with_the_known_ones() -> None:
    found = problems(an_object(text=TEXT, count=TEXT), zzz=1)
    assert found == ('arguments.zzz: unknown parameter; known are "text", "count"',)


def test_an_unknown_parameter_is_no_problem_where_the_schema_is_open() -> None:
    schema = {"type": "object", "properties": {"text": TEXT}}
    assert problems(schema, txt="a") == ()


def test_a_missing_parameter_points_at_the_unknown_one_that_may_be_meant() -> None:
    schema = {"type": "object", "properties": {"text": TEXT}, "required": ["text"]}
    assert problems(schema, txt="a") == (
        'arguments.text: required parameter is missing, expected string; is "txt" meant to be "text"?',
    )


def test_every_missing_parameter_is_told_once() -> None:
    found = problems(an_object(("a", "b"), a=TEXT, b={"enum": ["x"]}))
    assert found == (
        "arguments.a: required parameter is missing, expected string",
        "arguments.b: required parameter is missing",
    )


def test_a_place_deep_within_is_written_with_dots_indices_and_quoted_names() -> None:
    schema = an_object(items={"type": "array", "items": an_object(**{"a b": TEXT})})
    found = problems(schema, items=[{}, {"a b": 1}])
    assert found == ('arguments.items[1]["a b"]: found 1 (integer), expected string',)


def test_a_value_outside_an_enumeration_is_answered_with_the_allowed_and_the_nearest() -> None:
    found = problems(an_object(mode={"enum": ["fast", "slow"]}), mode="fastt")
    assert found == ('arguments.mode: found "fastt" (string), expected one of "fast", "slow"; did you mean "fast"?',)


def test_alternatives_that_differ_by_type_are_told_as_one_expectation() -> None:
    found = problems(an_object(note={"anyOf": [TEXT, {"type": "null"}]}), note=1)
    assert found == ("arguments.note: found 1 (integer), expected string or null",)


def test_among_alternatives_the_one_that_nearly_fits_is_explained() -> None:
    point = an_object(("x", "y"), x={"type": "number"}, y={"type": "number"})
    found = problems(an_object(at={"anyOf": [TEXT, point]}), at={"x": 1})
    assert found == ("arguments.at.y: required parameter is missing, expected number",)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer", "minimum": 1}, 0, "at least 1"),
        ({"maximum": 9.5}, 10, "at most 9.5"),
        ({"exclusiveMinimum": 1}, 1, "more than 1"),
        ({"exclusiveMaximum": 1}, 1, "less than 1"),
        ({"multipleOf": 5}, 7, "a multiple of 5"),
        ({"minLength": 2}, "a", "at least 2 characters"),
        ({"maxLength": 2}, "abc", "at most 2 characters"),
        ({"pattern": "^[a-z]+$"}, "A", 'a match of "^[a-z]+$"'),
        ({"const": "on"}, "off", '"on"'),
        ({"not": {"type": "string"}}, "a", "a value that the schema does not exclude"),
        ({"uniqueItems": True}, [1, 1.0], "items that all differ"),
        ({"minItems": 2}, [1], "at least 2 items"),
        ({"maxItems": 0}, [1], "at most 0 items"),
        ({"contains": {"const": 1}}, [2], "an item of the required kind"),
        ({"minProperties": 1}, {}, "at least 1 keys"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1, "exactly one of 2 alternatives"),
    ],
)
def test_each_limit_says_what_it_allows(schema: dict[str, Any], value: Any, expected: str) -> None:
    (line,) = problems(an_object(value=schema), value=value)
    assert line.startswith("arguments.value: found ")
    assert f"expected {expected}" in line


def test_true_and_one_are_different_items() -> None:
    assert problems(an_object(value={"uniqueItems": True}), value=[1, True, "1", [1], [True], {"a": 1}]) == ()


@pytest.mark.parametrize("name", ["password", "api_key", "apiKey", "access_token", "Authorization", "clientSecret"])
def test_the_value_of_a_secret_looking_parameter_is_never_shown(name: str) -> None:
    found = problems(an_object(**{name: {"type": "string", "maxLength": 3}}), **{name: "hunter2"})
    assert found == (f"arguments.{name}: found a string, expected at most 3 characters",)


def test_what_lies_within_a_secret_looking_parameter_is_never_shown() -> None:
    found = problems(an_object(credentials={"additionalProperties": {"type": "integer"}}), credentials={"x": "hunter2"})
    assert found == ("arguments.credentials.x: found a string, expected integer",)


def test_a_container_is_shown_by_its_size_only() -> None:
    found = problems(an_object(a=TEXT, b=TEXT), a={"password": "hunter2"}, b=["hunter2", 1])
    assert found == (
        "arguments.a: found an object with 1 key, expected string",
        "arguments.b: found an array of 2 items, expected string",
    )


def test_a_long_value_with_control_characters_is_shown_short_and_clean() -> None:
    (line,) = problems(an_object(a={"type": "integer"}), a="\x1b[31m" + "x" * 10_000)
    assert line.isprintable()
    assert len(line) < 120


def test_no_more_than_ten_problems_are_told() -> None:
    found = problems(an_object(), **{f"unknown{index}": 1 for index in range(100)})
    assert len(found) == MAX_PROBLEMS


def test_a_parameter_the_schema_forbids_is_not_allowed() -> None:
    assert problems({"properties": {"a": False}}, a=1) == ("arguments.a: not allowed",)
    assert problems({"anyOf": [False]}) == ("arguments: not allowed",)


def test_a_parameter_required_by_another_is_named() -> None:
    (line,) = problems({"dependentRequired": {"a": ["b"]}}, a=1)
    assert "'b'" in line


def test_an_older_dialect_is_honoured() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}},
    }
    assert problems(schema, a=2) == ()
    assert len(problems(schema, a=1)) == 1


def test_a_reference_within_the_document_is_followed_by_pointer_and_by_anchor() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/a~1b%25"}, "b": {"$ref": "#word"}},
        "$defs": {"a/b%": TEXT, "w": {"$anchor": "word", "type": "string"}},
    }
    assert problems(schema, a="x", b="x") == ()
    assert len(problems(schema, a=1, b=1)) == 2


def test_a_reference_by_the_documents_own_address_is_followed() -> None:
    schema = {
        "$id": "https://example.com/tool.json",
        "properties": {"a": {"$ref": "https://example.com/tool.json#/$defs/a"}},
        "$defs": {"a": TEXT},
    }
    assert len(problems(schema, a=1)) == 1


def test_a_schema_that_refers_to_itself_checks_trees() -> None:
    schema = an_object(("name",), name=TEXT, children={"type": "array", "items": {"$ref": "#"}})
    assert problems(schema, name="a", children=[{"name": "b", "children": [{"name": "c"}]}]) == ()
    assert problems(schema, name="a", children=[{"name": "b", "children": [{"name": 1}]}]) == (
        "arguments.children[0].children[0].name: found 1 (integer), expected string",
    )


def test_formats_and_other_annotations_are_not_enforced() -> None:
    assert problems(an_object(a={"type": "string", "format": "date", "x-extra": {"type": 7}}), a="no date") == ()


def test_the_repr_says_how_arguments_are_checked() -> None:
    assert repr(compile_schema(an_object(a=TEXT))) == "<SchemaValidator [flat, 0 patterns ignored]>"
    assert repr(compile_schema({"not": {}})) == "<SchemaValidator [nested, 0 patterns ignored]>"
