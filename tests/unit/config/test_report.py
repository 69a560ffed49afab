"""Problems in words: in file order, on one line, with values shown only where they cannot be secrets."""

from __future__ import annotations

import pytest

from trunkline.config.report import Report, nearest, printable
from trunkline.errors import ConfigError


def test_problems_and_notices_come_in_file_order_each_at_its_line_or_its_nearest_parents() -> None:
    report = Report("a.toml", {"x": {"y": [1]}}, {("x",): 1, ("x", "y"): 4})
    report.mismatch(("x", "y", 0), "a string")
    report.problem(("x", "z"), "is wrong")
    report.problem((), "is wrong as a whole")
    report.notice(("x", "y"), "does nothing")
    report.notice(("x",), "does nothing")
    assert report.notices == ("a.toml:1: x does nothing", "a.toml:4: x.y does nothing")
    with pytest.raises(ConfigError) as caught:
        report.raise_problems()
    assert caught.value.source == "a.toml"
    assert caught.value.problems == (
        "a.toml: is wrong as a whole",
        "a.toml:1: x.z: is wrong",
        "a.toml:4: x.y[0]: found 1 (a whole number), expected a string",
    )


def test_a_report_without_problems_raises_nothing() -> None:
    report = Report("a.toml", {}, {})
    report.notice((), "does nothing")
    report.raise_problems()
    assert report.notices == ("a.toml: does nothing",)


def test_what_is_not_there_is_found_as_nothing() -> None:
    report = Report("a.toml", {"x": 1}, {})
    report.mismatch(("x", "y"), "a string")
    with pytest.raises(ConfigError, match=r"^a\.toml: x\.y: found nothing, expected a string$"):
        report.raise_problems()


def test_nothing_more_is_said_about_a_value_that_could_not_be_resolved() -> None:
    report = Report("a.toml", {"x": "${X}"}, {})
    report.unresolved(("x",), "has no value")
    report.mismatch(("x",), "a number")
    with pytest.raises(ConfigError, match=r"^a\.toml: x: has no value$"):
        report.raise_problems()


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("x", "plain", '"plain"'),
        ("x", "${TOKEN}", '"${TOKEN}"'),
        ("x", "line\nbreak\x1b", '"line\\nbreak\\u001b"'),
        ("x", "é" * 61, '"' + "é" * 60 + '…"'),
        ("x", "redis://user:hunter2@host", "<hidden>"),
        ("api_key", "hunter2", "<hidden>"),
        ("Authorization", "hunter2", "<hidden>"),
        ("env", "hunter2", "<hidden>"),
        ("environment", "plain", '"plain"'),
    ],
)
def test_a_string_is_shown_on_one_line_unless_it_may_be_a_secret(key: str, value: str, shown: str) -> None:
    report = Report("a.toml", {key: value}, {})
    report.mismatch((key,), "a number")
    with pytest.raises(ConfigError) as caught:
        report.raise_problems()
    assert caught.value.problems == (f"a.toml: {key}: found {shown} (a string), expected a number",)


@pytest.mark.parametrize(("word", "near"), [("RETRY", "retry"), ("retyr", "retry"), ("x", None), ("", None), (3, None)])
def test_the_nearest_known_word_is_found_whatever_its_letter_case(word: object, near: str | None) -> None:
    assert nearest(word, ["timeout", "retry"]) == near


def test_what_does_not_print_is_escaped() -> None:
    assert printable("a\n\u2028\ud800é") == "a\\u000a\\u2028\\ud800é"
