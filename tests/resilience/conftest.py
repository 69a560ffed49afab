"""The fire drill's report: every promise with its figures, as a table at the end of the run and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

Report: TypeAlias = Callable[[str, str, str], None]
"""`report(promise, circumstances, figures)`."""

_ROWS = pytest.StashKey[list[tuple[str, str, str, str]]]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a line to the report; it says whether the test that wrote it passed."""
    rows = request.config.stash.setdefault(_ROWS, [])

    def add(promise: str, circumstances: str, figures: str) -> None:
        rows.append((request.node.nodeid, promise, circumstances, figures))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; with RESILIENCE_JSON, write it to that file as well."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    failed = {outcome.nodeid for outcome in terminalreporter.stats.get("failed", [])}
    told = [
        {"promise": promise, "in": where, "result": "FAILED" if node in failed else "kept", "figures": figures}
        for node, promise, where, figures in sorted(rows, key=lambda row: row[1:3])
    ]
    terminalreporter.section("promises")
    for row in told:
        terminalreporter.write_line(f"{row['promise']:<4} {row['in']:<18} {row['result']:<7} {row['figures']}")
    if target := os.environ.get("RESILIENCE_JSON"):
        Path(target).write_text(json.dumps(told, indent=2) + "\n")
