"""A pytest plugin that prints the coverage of the run it is part of, above pytest's own closing line.

    coverage run -m pytest -p tools.coverage_report

Coverage has to be there before pytest is: pytest loads Trunkline's own plugin, and whatever that imports, before any
plugin of its own could begin to measure. Where pytest-xdist spreads the tests over workers, each measures from here on,
and sends what it reached to the process that leads them, which has seen that import.

Nothing is measured while a test marked `resilience` runs: it takes the same lines ten thousand times over, and to note
them each time makes it two to three times as slow, which spoils what it is about.
"""

from __future__ import annotations

from collections.abc import Generator
from io import StringIO
from typing import Any

import pytest
from coverage import Coverage, CoverageData
from coverage.exceptions import CoverageException


def pytest_configure(config: pytest.Config) -> None:
    """Begin to measure in the first worker."""
    if getattr(config, "workerinput", {}).get("workerid") == "gw0":
        _begin()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to measure in the others: what is imported to collect the tests is the same in each."""
    if hasattr(session.config, "workerinput") and Coverage.current() is None:
        _begin()


def _begin() -> None:
    measured = Coverage(data_file=None)
    # That Trunkline's plugin is there already is no accident: the process that leads this one has seen it come.
    measured.set_option("run:disable_warnings", ["module-not-measured"])
    measured.start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what a worker reached."""
    measured = Coverage.current()
    if measured is not None and hasattr(session.config, "workeroutput"):
        measured.stop()
        session.config.workeroutput["coverage"] = measured.get_data().dumps()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker reached; one that crashed says nothing."""
    measured = Coverage.current()
    if measured is not None and "coverage" in getattr(node, "workeroutput", {}):
        reached = CoverageData(no_disk=True)
        reached.loads(node.workeroutput["coverage"])
        measured.get_data().update(reached)


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Stop measuring, as all tests have run, and say what was reached."""
    if hasattr(config, "workerinput"):
        return
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
