"""A pytest plugin that prints the coverage of the run it is part of, above pytest's own closing line.

    coverage run -m pytest -p tools.coverage_report

Coverage has to be there before pytest is: pytest loads Trunkline's own plugin, and whatever that imports, before any
plugin of its own could begin to measure.

Nothing is measured while a test marked `resilience` runs: it takes the same lines ten thousand times over, and to note
them each time makes it two to three times as slow, which spoils what it is about.
"""

from __future__ import annotations

from collections.abc import Generator
from io import StringIO

import pytest
from coverage import Coverage
from coverage.exceptions import CoverageException


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Do not measure what tests marked `resilience` reach."""
    measured = Coverage.current()
    if measured is None or item.get_closest_marker("resilience") is None:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()


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
