"""The line of every key: what the parsers forget is found again, whatever the notation."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trunkline.config.lines import KeyPath, json_lines, toml_lines

TOML = '''# a comment with [brackets], {braces} and "quotes"
title = "not a [table] # nor a comment"   # but this is

[servers]          # header
[servers.alpha]
ip = '10.0.0.1 # "quoted" \\'
"dotted.key" = 1
deep.er."est one" = { x = 1, y = { z = [1, 2] } }

[[jobs]]
name = """
[not.a.header]
key = "no key" \\""" still text
"""
[jobs.limits]
cpu = 1
[[jobs.steps]]
run = "a"
[[jobs.steps]]
run = "b"

[[jobs]]
list = [
  # a comment in an array ]
  "one", [ "]", "}" ],
  { n = 3 },
]
when = 1979-05-27 07:32:00
last = \'\'\'ends in quotes\'\'\'\'\'
after = true
'''


def test_every_toml_notation_leads_to_the_line_it_stands_on() -> None:
    lines = toml_lines(TOML)
    expected: dict[KeyPath, int] = {
        ("title",): 2,
        ("servers",): 4,
        ("servers", "alpha"): 5,
        ("servers", "alpha", "ip"): 6,
        ("servers", "alpha", "dotted.key"): 7,
        ("servers", "alpha", "deep"): 8,
        ("servers", "alpha", "deep", "er", "est one", "y", "z", 1): 8,
        ("jobs",): 10,
        ("jobs", 0): 10,
        ("jobs", 0, "name"): 11,
        ("jobs", 0, "limits"): 15,
        ("jobs", 0, "limits", "cpu"): 16,
        ("jobs", 0, "steps"): 17,
        ("jobs", 0, "steps", 0, "run"): 18,
        ("jobs", 0, "steps", 1): 19,
        ("jobs", 0, "steps", 1, "run"): 20,
        ("jobs", 1): 22,
        ("jobs", 1, "list"): 23,
        ("jobs", 1, "list", 0): 25,
        ("jobs", 1, "list", 1, 1): 25,
        ("jobs", 1, "list", 2, "n"): 26,
        ("jobs", 1, "when"): 28,
        ("jobs", 1, "last"): 29,
        ("jobs", 1, "after"): 30,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert set(lines) == paths(tomllib.loads(TOML))


def test_a_table_named_after_its_children_has_the_line_of_its_own_header() -> None:
    assert toml_lines("[a.b]\nx = 1\n[a]\ny = 2\n") == {("a",): 3, ("a", "b"): 1, ("a", "b", "x"): 2, ("a", "y"): 4}


@pytest.mark.parametrize(
    "value",
    [
        '""',
        '""""""',
        "''''''",
        '"""a"""""',
        "'''a'''''",
        '"\\""',
        '"""\\""""',
        "'\\'",
        '"# ] }"',
        "1",
        "-inf",
        "[]",
        "{}",
    ],
)
def test_a_key_after_any_value_is_found_on_the_next_line(value: str) -> None:
    text = f"a = {value}\nb = [{value}, {value}]\nc = {{ d = {value}, e = {value} }}\nf = 0\n"
    tomllib.loads(text)
    lines = toml_lines(text)
    assert (lines["a",], lines["b",], lines["b", 1], lines["c", "e"], lines["f",]) == (1, 2, 2, 3, 4)


def test_windows_line_ends_count_once() -> None:
    text = 'a = 1\r\n[b]\r\nc = """\r\nx"""\r\nd = 2\r\n'
    assert toml_lines(text) == {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "d"): 5}


def test_json_keys_and_items_lead_to_the_line_they_stand_on() -> None:
    text = '{\n "a": {"b": [1,\n  "}]\\"{[",\n  {"c": null}]},\n\n "\\u0064": []\n}'
    lines, repeated = json_lines(text)
    assert lines == {
        ("a",): 2,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
        ("a", "b", 1): 3,
        ("a", "b", 2): 4,
        ("a", "b", 2, "c"): 4,
        ("d",): 6,
    }
    assert repeated == []


def test_a_repeated_json_key_is_told_once_and_the_last_one_counts() -> None:
    lines, repeated = json_lines('{"a": {"x": 1,\n "y": 2},\n"a": {"x": 3}}')
    assert repeated == [(("a",), 3)]
    assert lines == {("a",): 3, ("a", "x"): 3}


@pytest.mark.parametrize("text", ["= 1", "[[", "[]", "a = [,]"])
def test_a_text_no_parser_accepts_is_refused_rather_than_guessed_at(text: str) -> None:
    with pytest.raises(ValueError, match="not a text its parser accepts"):
        toml_lines(text)


def paths(value: object, at: KeyPath = ()) -> set[KeyPath]:
    """Every key path within a parsed value."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return {(*at, key) for key, _ in items}.union(*(paths(below, (*at, key)) for key, below in items))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(JSON, st.sampled_from([None, 0, 2]))
def test_exactly_the_paths_of_any_json_text_are_found(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=indent is None)
    assert set(json_lines(text)[0]) == paths(json.loads(text))


KEYS = st.lists(st.sampled_from(["a", "b", "c-1", '"a"', "'d e'", '"\\u0066.]"']), min_size=1, max_size=3).map(".".join)
SCALARS = st.sampled_from(
    [
        "1",
        "+1_0.5e3",
        "true",
        "nan",
        '"x#]}"',
        "'\\'",
        '"""a\n"b"""',
        "'''\n]'''",
        "2020-01-01 10:00:00Z",
        "12:00:00",
        '""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # ]\n" + ",\n".join(items) + "\n]")
        | st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        )
    ),
    max_leaves=6,
)
STATEMENTS = (
    st.tuples(KEYS, VALUES).map(" = ".join)
    | KEYS.map("[{}]".format)
    | KEYS.map("[[ {} ]]".format)
    | st.sampled_from(["", "# [x] = {", "   "])
)


@given(st.lists(STATEMENTS, max_size=8))
def test_exactly_the_paths_of_any_toml_text_are_found(statements: list[str]) -> None:
    text = "\n".join(statements)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    assert set(toml_lines(text)) == paths(values)
