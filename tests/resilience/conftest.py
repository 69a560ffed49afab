"""Collects the fire drill's rows, prints them at the end of the run, and fails a whole drill that lacks a promise."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.resilience.promises import PROMISES, Facts, Row, as_json, missing_from, table

Report: TypeAlias = Callable[[str, str, str], None]
"""`report(promise, circumstances, figures)`."""

_FOLDER = Path(__file__).resolve().parent


@dataclass
class _Drill:
    """What is known of the run so far."""

    facts: Facts = field(default_factory=Facts)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By the test that reported them."""
    failed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The tests that failed, in whatever phase, with the promises they are bound to."""
    is_whole: bool = False
    """Whether every test of the drill is run and a report was asked for."""
    missing: list[str] = field(default_factory=list)

    def judged(self) -> list[Row]:
        """Every row with its result; a promise whose test failed before it had figures has a row too."""
        rows = [
            replace(row, is_kept=test not in self.failed) for test, reported in self.rows.items() for row in reported
        ]
        for test, promises in self.failed.items():
            told = {row.promise for row in self.rows.get(test, ())}
            name = test.rpartition("::")[2]
            rows += [Row(each, "", f"no figures: {name}", is_kept=False) for each in promises if each not in told]
        return sorted(rows, key=lambda row: (PROMISES.index(row.promise), row.circumstances))


_DRILL = pytest.StashKey[_Drill]()


def _bound(item: pytest.Item) -> tuple[str, ...]:
    """The promises of the drill that a test is bound to."""
    ids = {each for marker in item.iter_markers("requirement") for each in marker.args}
    return tuple(promise for promise in PROMISES if promise in ids)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a row to the report; whether it is kept is decided by the outcome of the test that wrote it."""
    drill, bound = request.config.stash[_DRILL], _bound(request.node)

    def add(promise: str, circumstances: str, figures: str) -> None:
        assert promise in bound, f"{promise} is none of the promises that this test is bound to: {bound}"
        row = Row(promise, circumstances, figures, is_kept=True)
        drill.rows.setdefault(request.node.nodeid, []).append(row)

    return add


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note how the run begins, and whether it is the whole drill."""
    drill = session.config.stash.setdefault(_DRILL, _Drill())
    # A run that was asked for less, by a file's name or -k, owes no promise; without a report it is no drill.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    selected = reporter is None or not reporter.stats.get("deselected")
    is_asked_for = any(Path(argument).resolve() == _FOLDER for argument in session.config.args)
    drill.is_whole = selected and is_asked_for and "RESILIENCE_JSON" in os.environ


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note every failure: in the test, or in what it set up or left behind."""
    told = yield
    if told.failed and item.get_closest_marker("resilience") is not None:
        item.config.stash[_DRILL].failed[item.nodeid] = _bound(item)
    return told


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole drill in which a promise was not spoken of."""
    drill = session.config.stash.get(_DRILL, None)
    if drill is not None and drill.is_whole:
        drill.missing = missing_from(drill.judged())
        if drill.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; with RESILIENCE_JSON, write it to that file as well."""
    drill = config.stash.get(_DRILL, None)
    rows = [] if drill is None else drill.judged()
    if drill is None or not (rows or drill.missing):
        return
    terminalreporter.section("promises")
    for line in table(rows, drill.missing):
        terminalreporter.write_line(line)
    if drill.missing:
        terminalreporter.write_line(f"The drill fails: nothing was reported for {', '.join(drill.missing)}.", red=True)
    if target := os.environ.get("RESILIENCE_JSON"):
        Path(target).write_text(as_json(rows, drill.facts, drill.missing), "utf-8")
