"""METASTABLE: 30 of 50 replicas hang under 1,000 callers, and all is well again once they are back. Virtual time."""

from __future__ import annotations

import os

import pytest

from benchmarks.outage import END, FAULT, GUARDED, REPAIR, UNGUARDED, WARM, run
from tests.resilience.conftest import Report

pytestmark = [pytest.mark.resilience, pytest.mark.timeout(900)]

IS_DRILL = "STORM_SECONDS" in os.environ
CALLERS, REPLICAS = (1000, 50) if IS_DRILL else (160, 8)


@pytest.mark.requirement("METASTABLE")
def test_an_outage_ends_with_its_cause_and_would_not_without_budget_and_breakers(report: Report) -> None:
    guarded = run(GUARDED, callers=CALLERS, replicas=REPLICAS)
    unguarded = run(UNGUARDED, callers=CALLERS, replicas=REPLICAS)
    recovered = guarded.recovered_after()
    report(
        "METASTABLE",
        f"{REPLICAS} replicas, virtual",
        f"{sum(guarded.calls):,} calls, {guarded.amplification(FAULT, REPAIR):.2f} attempts per call in the fault "
        f"({unguarded.amplification(FAULT, REPAIR):.2f} without guards), well again after {recovered} s "
        f"({unguarded.recovered_after() or 'never'} without)",
    )
    assert guarded.success(0, FAULT - 20) == 1.0
    assert guarded.success(END - 60, END) >= 0.99
    assert guarded.amplification(FAULT, REPAIR) <= 1.25
    assert guarded.amplification(REPAIR, END) <= 1.25
    assert recovered is not None
    assert recovered <= WARM - REPAIR + 30.0
    # Or the scenario proves nothing.
    assert unguarded.recovered_after() is None
