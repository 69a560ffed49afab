"""What is known of a run of the fire drill: collects its rows from the tests' reports, prints them when all have run.

Rows travel on the tests' reports, as tests may run in other processes than the one that prints (pytest-xdist).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.resilience.promises import PROMISES, Facts, Row, as_json, missing_from, table

ROW: Final = "row of the drill"
"""The property of a test's report that holds a row of the drill's."""
BOUND: Final = "promises of the drill"
"""The property that holds the promises a test is bound to."""

_FOLDER = Path(__file__).resolve().parent


class Drill:
    """A pytest plugin; fails a whole drill that lacks a promise."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        """By the test that reported them."""
        self.failed: dict[str, list[str]] = {}
        """The tests that failed, in whatever phase, with the promises they are bound to."""
        self._facts = Facts()
        self._is_whole = False
        self._missing: list[str] = []

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

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note whether this is the whole drill: every test of it is run, and a report was asked for."""
        # A run that was asked for less, by a file's name or -k, owes no promise; without a report it is no drill.
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        selected = reporter is None or not reporter.stats.get("deselected")
        is_asked_for = any(Path(argument).resolve() == _FOLDER for argument in session.config.args)
        self._is_whole = selected and is_asked_for and "RESILIENCE_JSON" in os.environ

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test reported, and every failure: in the test, or in what it set up or left behind."""
        told: list[tuple[str, Any]] = report.user_properties
        bound = [promise for name, promise in told if name == BOUND]
        if report.failed and bound:
            self.failed[report.nodeid] = bound
        if rows := [Row(**row) for name, row in told if name == ROW]:
            self.rows[report.nodeid] = rows

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a whole drill in which a promise was not spoken of."""
        if self._is_whole:
            self._missing = missing_from(self.judged())
            if self._missing and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table; with RESILIENCE_JSON, write it to that file as well."""
        rows = self.judged()
        if not (rows or self._missing):
            return
        terminalreporter.section("promises")
        for line in table(rows, self._missing):
            terminalreporter.write_line(line)
        if self._missing:
            owed = ", ".join(self._missing)
            terminalreporter.write_line(f"The drill fails: nothing was reported for {owed}.", red=True)
        if target := os.environ.get("RESILIENCE_JSON"):
            Path(target).write_text(as_json(rows, self._facts, self._missing), "utf-8")
