"""A tool's shown name, and whether it may run twice."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import Tool as Definition
from mcp_types import ToolAnnotations

from trunkline.policy import ServerPolicy, ToolPolicy
from trunkline.registry.fingerprint import fingerprint
from trunkline.registry.tool import MAX_NAME, Tool, is_repeatable, shown_name, shown_prefix


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
