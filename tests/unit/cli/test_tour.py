"""What the tour counts and tells, from a ledger and journals made by hand."""

from __future__ import annotations

import io
from typing import Literal

import pytest

from trunkline.alerts import Alert
from trunkline.cli.tour.ledger import Ledger, Told, Verdict, p95, verdict
from trunkline.cli.tour.summary import summary
from trunkline.cli.tour.telling import Teller, spoken
from trunkline.cli.tour.tour import Moments
from trunkline.testing.journal import Entry, Phase


def wrote(op: str, *phases: Phase, tool: str = "append") -> list[Entry]:
    return [Entry(op, tool, phase, 1, 0.0) for phase in phases]


def told(at: float, outcome: Literal["ok", "refused"], *, server: str = "orders", seconds: float = 0.01) -> Told:
    return Told(at, server, True, outcome, seconds)


@pytest.mark.parametrize(
    ("ledger", "journal", "expected"),
    [
        (Ledger(placed={"a"}), wrote("a", "before", "after"), Verdict(1, 0, 0, 0, 0, 0)),
        (Ledger(placed={"a"}), wrote("a", "before", "after") * 2, Verdict(0, 1, 0, 0, 0, 0)),
        (Ledger(unknown={"a"}), wrote("a", "before", "before", "after"), Verdict(0, 1, 0, 0, 1, 0)),
        (Ledger(placed={"a"}), wrote("a", "before"), Verdict(1, 0, 1, 0, 0, 0)),
        (Ledger(waiting={"a"}), wrote("a", "before"), Verdict(1, 0, 0, 1, 0, 0)),
        (Ledger(waiting={"a"}), [], Verdict(0, 0, 0, 0, 0, 0)),
        (Ledger(unknown={"a", "b"}), wrote("a", "before", "after"), Verdict(1, 0, 0, 0, 1, 1)),
        (Ledger(), wrote("a", "before", "after", tool="lookup") * 2, Verdict(0, 0, 0, 0, 0, 0)),
    ],
    ids=["once", "twice", "twice-without-an-answer", "lost", "lied", "refused", "unknown", "reads-may-repeat"],
)
def test_the_journal_decides_what_became_of_a_write(ledger: Ledger, journal: list[Entry], expected: Verdict) -> None:
    found = verdict(ledger, journal)
    assert found == expected
    assert found.is_kept == (not (expected.twice or expected.lost or expected.lied))


def test_a_write_that_ran_twice_is_never_called_kept() -> None:
    said = summary(Ledger(), Moments(), Verdict(1, 1, 0, 0, 0, 0))
    assert any("1 ran twice" in line for line in said)
    assert not any("No write ran twice." in line for line in said)


def test_what_has_not_happened_is_not_told() -> None:
    said = "\n".join(summary(Ledger(), Moments(), Verdict(0, 0, 0, 0, 0, 0)))
    assert [word for word in ("inf", "nan", "search", "orders", "notes  ", "lost their answer 0") if word in said] == []


def test_the_outage_is_told_by_what_was_timed() -> None:
    moments = Moments(began=0.0, killed=10.0, noticed=10.006, listening=20.0, restarted=0.7)
    calls = [told(12, "refused", seconds=1.2), told(13, "refused", seconds=0.0002), told(20.4, "ok")]
    said = "\n".join(summary(Ledger(calls=calls), moments, Verdict(1, 0, 0, 0, 0, 0)))
    assert "found to be in trouble 6.0 ms after it was killed" in said
    assert "(median of 2; the longest 1.2 s)" in said
    assert "took orders again 0.4 s after it listened again" in said


def test_an_alert_that_fired_is_told_with_when_it_fired_and_was_over() -> None:
    alert = Alert("server-down", "critical", "inactive", {}, 100.0, 130.0, 175.0, 1.0, 1.0, "Server orders is down.")
    *_, line = summary(Ledger(), Moments(), Verdict(0, 0, 0, 0, 0, 0), [alert])
    assert line.split(maxsplit=1) == [
        "alerts",
        "Server orders is down. It fired 30 s after that had begun, and was over after 1 min 15 s",
    ]


def test_a_percentile_needs_two_calls() -> None:
    assert p95([1.0]) is None
    assert p95([1.0, 1.0]) == 1.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0002, "0.2 ms"), (0.045, "45 ms"), (0.4, "0.4 s"), (1.0, "1 s"), (12, "12 s"), (60, "1 minute"),
     (300, "5 minutes"), (90, "1 min 30 s")],
)  # fmt: skip
def test_durations_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_a_state_is_taken_back_on_a_terminal_and_a_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    for is_live, written in ((True, "\r\x1b[Kone\r\x1b[K" + "x" * 29 + "\nend\n"), (False, f"one\n{'x' * 40}\nend\n")):
        out = io.StringIO()
        teller = Teller(out, is_live=is_live)
        teller.state("one")
        teller.state("x" * 40)
        teller.say("end")
        assert out.getvalue() == written


def test_no_colour_is_written_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Teller(out, is_live=True).title("Title")
    assert out.getvalue() == "\nTitle\n"
