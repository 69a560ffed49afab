"""A pytest plugin that prints the coverage of the run it is part of, above pytest's own closing line.

    coverage run -m pytest -p tools.coverage_report

Coverage has to be there before pytest is: pytest loads Trunkline's own plugin, and whatever that imports, before any
plugin of its own could begin to measure.
"""

from __future__ import annotations

from io import StringIO

import pytest
from coverage import Coverage
from coverage.exceptions import CoverageException


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Stop measuring, as all tests have run, and say what was reached."""
    measured = Coverage.current()
    if measured is None:
        raise pytest.UsageError("nothing is measured: run this under `coverage run -m pytest`")
    measured.stop()
    measured.save()
    report = StringIO()
    terminalreporter.section("coverage")
    try:
        measured.report(file=report)
    except CoverageException as error:
        report.write(f"none: {error}\n")
    terminalreporter.write(report.getvalue())
