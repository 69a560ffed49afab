"""What `trunkline top` shows of a view: pure, a view in and lines out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.unit.cli.views import AT, DETAILS, view
from trunkline.cli.main import main
from trunkline.cli.terminal.figures import ago, duration, number, share, spark
from trunkline.cli.terminal.lines import Line, Piece, columns, cut, fit, painted, plain
from trunkline.cli.terminal.overview import overview
from trunkline.cli.terminal.pages import page, press
from trunkline.cli.terminal.shown import Away, Shown
from trunkline.gateway.openapi import document

WIDTHS = pytest.mark.parametrize("width", [40, 80, 120])


def bare(lines: list[Line], width: int) -> list[str]:
    """The lines as a terminal without colours shows them."""
    return [painted(line, width, "bare").rstrip() for line in lines]


def shown(told: dict[str, Any] | None, **also: Any) -> Shown:
    return Shown("http://127.0.0.1:8700", view=told, now=AT + 1, **also)


def first_page(told: dict[str, Any] | None, width: int = 120, height: int | None = None, **also: Any) -> list[str]:
    return bare(overview(shown(told, **also), width, height), width)


@pytest.mark.parametrize("told", [view(), view(down=True), view(servers=0)])
def test_the_views_of_these_tests_are_what_a_gateway_tells(told: dict[str, Any]) -> None:
    described = document("127.0.0.1", 8700)
    for name, given in (("View", told), ("ServerDetails", DETAILS)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(given)] == []


@WIDTHS
@pytest.mark.requirement("CLI-TOP-2")
def test_the_first_page_says_first_how_things_are_since_when_and_why(width: int) -> None:
    _, sentence, since, reason, *_ = first_page(view(down=True), width)
    assert sentence == "● Of 3 servers, 1 is down."
    assert since.startswith("  since ")
    assert since.endswith("(53 s)")
    assert reason.startswith("    orders: nothing listens at")


def test_a_long_reason_takes_two_lines_and_no_more() -> None:
    told = view(down=True)
    told["overall"]["reasons"] = [f"orders: {'word ' * 100}", "search: away"]
    lines = first_page(told, 60)
    assert lines[3].startswith("    orders: word word")
    assert lines[4].startswith("      word word")
    assert lines[4].endswith(" …")
    assert lines[5] == "    search: away"
    assert [line for line in lines if columns(line) > 60] == []


def test_with_all_well_the_first_page_says_so_and_since_when() -> None:
    _, sentence, since, *rest = first_page(view())
    assert sentence == "● All 3 servers work; 30 tools can be called."
    assert since.endswith("(29 min)")
    assert "down" not in "\n".join(rest)


@WIDTHS
@pytest.mark.parametrize("name", ["overview", "server", "help"])
@pytest.mark.parametrize("height", [5, 10, 24, 50])
def test_every_page_fits_its_terminal_exactly(width: int, name: Any, height: int) -> None:
    state = shown(view(down=True, servers=30), server="orders", page=name, details=DETAILS, away=Away(AT, "x" * 500))
    lines = bare(page(state, width, height), width)
    assert len(lines) == height
    assert [line for line in lines if columns(line) > width] == []


@WIDTHS
def test_servers_and_domains_are_sorted_by_badness_and_a_narrow_terminal_keeps_what_matters(width: int) -> None:
    lines = first_page(view(down=True), width)
    at = next(number for number, line in enumerate(lines) if "SERVER" in line)
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["orders", "notes", "search"]
    assert "down 53 s" in lines[at + 1]
    domains = [line.split()[0] for line in lines if line.split()[:1] in (["checkout"], ["catalogue"])]
    assert domains == ["checkout", "catalogue"]
    assert ("CIRCUIT" in lines[at], "LAST 3 MIN" in lines[at]) == (width >= 80, width >= 120)


def test_the_totals_of_the_last_minute_are_told() -> None:
    text = "\n".join(first_page(view()))
    for fact in ("92 calls/s", "1.2 % errors", "21 ms p50", "48 ms p95", "120 ms p99", "3 in flight", "45 % cached"):
        assert fact in text
    assert "calls/s  █▇▅▄▂" in text


def test_a_gateway_that_is_away_is_said_first_with_since_when_and_why_and_the_last_view_is_called_old() -> None:
    lines = first_page(view(), away=Away(AT - 11, "connection refused"))
    assert lines[1].startswith("✖ The gateway is away since ")
    assert lines[1].endswith("(12 s): connection refused")
    assert lines[2].startswith("  Trying again. Below is how things were at ")
    assert lines[3] == "● All 3 servers work; 30 tools can be called."


def test_before_the_first_view_it_says_that_it_connects() -> None:
    assert first_page(None)[1:] == ["  Connecting ..."]


def test_what_servers_say_cannot_move_the_cursor_or_fake_a_line() -> None:
    told = view(down=True)
    told["overall"]["reasons"] = ["a\x1b[2J\x1b]0;title\x07b\r\nc\u202ed"]
    told["servers"]["\x1b[31mred\n"] = told["servers"].pop("orders")
    text = "\n".join(first_page(told))
    assert [character for character in text if ord(character) < 32 and character != "\n"] == []
    assert "\u202e" not in text
    assert "a[2J]0;titleb cd" in text


def test_many_servers_are_shown_around_the_chosen_one() -> None:
    told = view(servers=100)
    state = shown(told)
    for _ in range(60):
        assert press(state, "down")
    lines = bare(page(state, 80, 24), 80)
    assert len([line for line in lines if line.startswith("▸")]) == 1
    assert state.server is not None
    assert any(line.startswith(f"▸ {state.server} ") for line in lines)


def test_keys_choose_open_scroll_and_go_back() -> None:
    state = shown(view(down=True))
    assert press(state, "down")
    assert state.server == "orders"
    for key, chosen in (("down", "notes"), ("page_down", "search"), ("up", "notes"), ("page_up", "orders")):
        assert press(state, key)
        assert state.server == chosen
    assert press(state, "enter")
    text = "\n".join(bare(page(state, 80, 24), 80))
    assert "Server orders  is down since " in text
    assert "nothing listens at the server's address" in text
    assert press(state, "help")
    assert "how things are, since when and why" in "\n".join(bare(page(state, 80, 24), 80))
    assert press(state, "escape")
    assert bare(page(state, 80, 24), 80)[0].startswith("Trunkline")
    assert not press(state, "quit")


def test_a_key_before_the_first_view_does_nothing() -> None:
    state = shown(None)
    for key in ("down", "enter", "up", "escape", "nonsense"):
        assert press(state, key)
    assert (state.page, state.server) == ("overview", None)


def test_alerts_that_fire_are_told_below_the_verdict_and_one_that_another_explains_is_not() -> None:
    lines = first_page(view(down=True))
    at = lines.index("1 alert is firing")
    assert at < next(number for number, line in enumerate(lines) if "calls/s" in line)
    assert lines[at + 1].startswith("  critical: Server orders is down. firing since ")
    assert lines[at + 1].endswith("(50 s)")
    assert "firing" not in "\n".join(first_page(view()))


def test_a_servers_page_has_its_tools_then_failed_and_slow_calls_with_where_they_came_from() -> None:
    state = shown(view(down=True), server="orders", page="server", details=DETAILS)
    lines = bare(page(state, 160, 60), 160)
    text = "\n".join(lines)
    heads = [next(number for number, line in enumerate(lines) if words in line)
             for words in ("Server orders", "TOOL", "The latest calls that failed", "The slowest calls")]  # fmt: skip
    assert heads == sorted(heads)
    assert re.search(r"orders_append +unavailable +2,408 +7.9 % +50 ms +no", text)
    assert re.search(r"orders_echo +available +0 +- +- +yes", text)
    assert re.search(r"orders_wipe +refused +0 +- +- +no", text)
    assert re.search(
        r"orders_append +ConnectionLost +31 ms +yes +checkout +1 +bypass +- +0af7651916cd43dd8448eb21", text
    )


def test_a_long_page_scrolls_to_its_end_and_no_further() -> None:
    state = shown(view(), server="orders", page="server", details=DETAILS)
    first = bare(page(state, 80, 24), 80)
    for _ in range(20):
        press(state, "page_down")
        last = bare(page(state, 80, 24), 80)
    assert first[0].startswith("Server orders")
    assert "orders_lookup" in last[22]
    press(state, "up")
    assert bare(page(state, 80, 24), 80)[1:23] == last[:22]


def test_a_server_that_is_gone_is_said_to_be_gone() -> None:
    state = shown(view(), server="former", page="server")
    assert "There is no server former any more." in bare(page(state, 80, 24), 80)


@pytest.mark.parametrize(
    ("text", "width", "cut_to"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"),
     ("e\u0301e\u0301", 2, "e\u0301e\u0301"), ("abc", 0, ""), ("日", 1, "…")],
)  # fmt: skip
def test_a_cut_counts_the_columns_that_characters_take(text: str, width: int, cut_to: str) -> None:
    assert cut(text, width) == cut_to
    assert columns(fit(text, width)) == width


def test_colours_are_left_out_where_they_are_not_wanted() -> None:
    line = [Piece("bad", "bad"), Piece("old", "dim")]
    assert painted(line, 80, "bare") == "badold"
    assert painted(line, 80, "plain") == "bad\x1b[2mold\x1b[0m"
    assert painted(line, 80, "coloured") == "\x1b[1;31mbad\x1b[0m\x1b[2mold\x1b[0m"


def test_figures_are_short() -> None:
    assert [number(value) for value in (None, 0, 0.25, 9.8, 12.0, 1204)] == ["-", "0", "0.2", "9.8", "12", "1,204"]
    assert [share(value) for value in (None, 0.0, 0.004, 0.12, 1.0)] == ["-", "0 %", "0.4 %", "12 %", "100 %"]
    assert [duration(value) for value in (None, 0.0004, 0.021, 1.2, 45.0)] == ["-", "0.4 ms", "21 ms", "1.2 s", "45 s"]
    told = [ago(value) for value in (-1, 53, 720, 3900, 3600, 180_000)]
    assert told == ["0 s", "53 s", "12 min", "1 h 5 min", "1 h", "2 d 2 h"]


def test_a_spark_is_of_the_newest_and_the_highest_is_full() -> None:
    assert spark([9, 0, 1, 2], 3) == "▁▅█"
    assert spark([0, 0], 5) == "▁▁"
    assert spark([], 5) == spark([1], 0) == ""


def test_a_long_text_is_looked_at_no_further_than_a_line_goes() -> None:
    assert len(plain("x" * 10_000_000)) <= 400


def test_without_a_terminal_top_says_what_to_use_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2
    assert capsys.readouterr().err.endswith("elsewhere use --once or --json\n")
