"""A tool's shown name, its fingerprint and whether it may run twice."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import Tool as Definition
from mcp_types import ToolAnnotations

from trunkline.policy import ServerPolicy, ToolPolicy
from trunkline.registry.tool import MAX_NAME, Tool, fingerprint, is_repeatable, shown_name, shown_prefix


def definition(name: str = "search", **fields: Any) -> Definition:
    return Definition(name=name, **{"input_schema": {"type": "object"}, **fields})


def tool(given: Definition) -> Tool:
    return Tool("web_search", "web", given.name, given, fingerprint(given), repeatable=False)


@pytest.mark.parametrize(
    ("prefix", "target", "name"),
    [
        (None, "search", "my_web_search"),
        ("w", "search", "w_search"),
        ("", "search", "search"),
        (None, "sök här!", "my_web_s_k_h_r_"),
        ("", "", "_"),
        ("", "a.b-c", "a.b-c"),
    ],
)
def test_the_shown_name_is_the_prefix_and_the_name_in_safe_characters(
    prefix: str | None, target: str, name: str
) -> None:
    assert shown_name("my web", prefix, target) == name
    assert name.startswith(shown_prefix("my web", prefix))


def test_a_long_name_is_cut() -> None:
    assert len(shown_name("web", None, "x" * 1_000)) == MAX_NAME


@pytest.mark.parametrize(
    ("idempotent", "trusted", "hints", "repeatable"),
    [
        (True, False, None, True),
        (False, True, ToolAnnotations(read_only_hint=True), False),
        (None, True, ToolAnnotations(read_only_hint=True), True),
        (None, True, ToolAnnotations(idempotent_hint=True), True),
        (None, True, ToolAnnotations(read_only_hint=False), False),
        (None, True, None, False),
        (None, False, ToolAnnotations(read_only_hint=True, idempotent_hint=True), False),
    ],
)
def test_a_tool_may_run_twice_by_configuration_or_by_a_trusted_annotation(
    idempotent: bool | None, trusted: bool, hints: ToolAnnotations | None, repeatable: bool
) -> None:
    server = ServerPolicy(trust_annotations=trusted)
    assert is_repeatable(definition(annotations=hints), server, ToolPolicy(idempotent=idempotent)) is repeatable


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"description": "other"},
        {"input_schema": {"type": "object", "required": ["a"]}},
        {"output_schema": {"type": "object"}},
        {"annotations": ToolAnnotations(read_only_hint=True)},
    ],
)
def test_a_change_of_anything_relied_on_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(definition(**change)) != fingerprint(definition())


def test_the_fingerprint_depends_neither_on_the_order_of_keys_nor_on_the_title() -> None:
    one = definition(input_schema={"type": "object", "properties": {}}, title="One")
    two = definition(input_schema={"properties": {}, "type": "object"})
    assert fingerprint(one) == fingerprint(two)
    assert len(fingerprint(one)) == 64


def test_a_definition_that_contains_itself_has_no_fingerprint() -> None:
    looped: dict[str, Any] = {"type": "object"}
    given = definition(input_schema=looped)
    given.input_schema["properties"] = given.input_schema
    with pytest.raises(ValueError, match="no JSON form"):
        fingerprint(given)


def test_the_definition_for_listings_has_the_shown_name_and_no_control_characters() -> None:
    given = definition(
        title="Se\x1barch\n", description="Finds\x00\n\tthings", annotations=ToolAnnotations(title="A\x07")
    )
    shown = tool(given).shown
    assert shown.name == "web_search"
    assert shown.title == "Search"
    assert shown.description == "Finds\n\tthings"
    assert shown.annotations == ToolAnnotations(title="A")
    assert given.title == "Se\x1barch\n"


def test_the_schema_is_compiled_once() -> None:
    made = tool(definition(input_schema={"type": "object", "required": ["a"]}))
    assert made.validator is made.validator
    assert made.validator.problems({}) == ("arguments.a: required parameter is missing",)


def test_structured_content_is_held_against_the_output_schema() -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    problems = tool(definition(output_schema=schema)).result_problems
    assert problems is not None
    assert problems({"sum": 5}) == ()
    assert problems({"sum": "x"}) == ('result.sum: found "x" (string), expected integer',)
    assert problems({}) == ("result.sum: required field is missing, expected integer",)
    assert problems([5]) == ("result: found an array of 1 item, expected object",)
    assert tool(definition()).result_problems is None
