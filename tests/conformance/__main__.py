"""Runs the official conformance suites, scenario by scenario, and prints a table: `make conformance`.

    python -m tests.conformance [--leg server] [--suite TITLE] [SCENARIO …]

Exits 1 if a scenario fails, and prints what the harness said of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from tests.conformance import client, server
from tests.conformance.suites import Suite

LEGS: Mapping[str, Callable[[], AbstractContextManager[Sequence[Suite]]]] = {
    "server": server.suites,
    "client": client.suites,
}
"""What is tested, by the harness's word for it: each starts what its suites need, yields them, and ends it again."""

LANES = {"server": 1, "client": 2}
"""Scenarios that run at the same time. Those of the client have a server each; the gateway's have one for all."""


def tell(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_suite(suite: Suite, wanted: Sequence[str]) -> list[str]:
    """Run the wanted scenarios of a suite, all if none is named; returns what to say of each failure."""
    failures = []
    tell(f"\n{suite.leg}: {suite.title}")
    scenarios = [scenario for scenario in suite.scenarios() if not wanted or scenario in wanted]
    with ThreadPoolExecutor(LANES[suite.leg]) as lanes:
        for scenario, outcome in zip(scenarios, lanes.map(suite.run, scenarios), strict=True):
            tell(f"  {'pass' if outcome.passed else 'FAIL'}  {outcome.seconds:5.1f} s  {scenario}")
            if not outcome.passed:
                failures.append(f"---- {suite.leg}: {suite.title}: {scenario}\n{outcome.report}")
    return failures


def main() -> int:
    """Run what was asked for; the exit status says whether all of it passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--leg", choices=sorted(LEGS), action="append", help="all by default")
    parser.add_argument("--suite", help="only suites with this in their title")
    parser.add_argument("scenario", nargs="*", help="all by default")
    options = parser.parse_args()
    started, failures = time.monotonic(), []
    for leg in options.leg or LEGS:
        with LEGS[leg]() as suites:
            for suite in suites:
                if options.suite is None or options.suite in suite.title:
                    failures += run_suite(suite, options.scenario)
    for failure in failures:
        tell(f"\n{failure}")
    tell(f"\n{len(failures)} failed, in {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
