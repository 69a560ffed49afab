"""Text from elsewhere is shown clean and short, and near names are found in bounded time."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.registry.wording import kind_of, listed, nearest, printable, quoted, shortened


def test_control_characters_and_direction_overrides_are_removed() -> None:
    hidden = "a\x00b\x1b[0m\u202ec\U000e0041d\ud800\n\t"
    assert printable(hidden) == "ab[0mcd"
    assert printable(hidden, breaks=True) == "ab[0mcd\n\t"


@given(st.text())
def test_what_is_shown_can_be_written_anywhere(text: str) -> None:
    assert len(shortened(text, 20)) <= 20
    shortened(text).encode("utf-8")


def test_what_is_shown_on_one_line_has_no_line_break_of_any_kind() -> None:
    assert shortened("a\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029b").splitlines() == ["ab"]


@pytest.mark.parametrize(
    ("value", "rendering", "kind"),
    [
        (None, "null", "null"),
        (True, "true", "boolean"),
        (3, "3", "integer"),
        (0.5, "0.5", "number"),
        ('a"b', '"a\\"b"', "string"),
        ([1], "an array of 1 item", "array"),
        ({}, "an object with 0 keys", "object"),
        (1 << 300, "a number of 301 bits", "integer"),
        (Decimal(1), "Decimal('1')", "Decimal"),
    ],
)
def test_a_value_is_rendered_by_its_kind(value: Any, rendering: str, kind: str) -> None:
    assert quoted(value) == rendering
    assert kind_of(value) == kind


def test_a_list_of_values_ends_where_it_gets_long() -> None:
    assert listed(["a", "b"]) == '"a", "b"'
    assert listed(range(9), 2) == "0, 1, …"


def test_near_names_come_nearest_first_and_ignore_case() -> None:
    assert nearest("Serch_web", ["fetch", "search_web", "search_wide"]) == ("search_web", "search_wide")


def test_a_name_that_contains_the_wanted_one_is_near() -> None:
    assert nearest("search", ["internal_documents_search", "other"]) == ("internal_documents_search",)


def test_a_name_like_no_other_has_no_near_names() -> None:
    assert nearest("zzz", ["search", "fetch"]) == ()
    assert nearest("", ["search"]) == ()


def test_the_work_is_bounded_by_neither_number_nor_length_of_the_names() -> None:
    started = time.monotonic()
    found = nearest("tool_00042" + "x" * 100_000, (f"tool_{index:05}" for index in range(1_000_000)))
    assert time.monotonic() - started < 10.0
    assert len(found) <= 3
