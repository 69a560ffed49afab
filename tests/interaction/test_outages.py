"""An outage of most replicas, simulated: no retry storm, and it ends with its cause; without our guards it does not.

A smaller crowd than that of `benchmarks/outage.py`, whose scenario this is.
"""

from __future__ import annotations

import pytest

from benchmarks.outage import END, FAULT, GUARDED, REPAIR, UNGUARDED, WARM, History, plot, run

pytestmark = pytest.mark.requirement("METASTABLE", "R8")


@pytest.fixture(scope="module")
def guarded() -> History:
    return run(GUARDED, callers=60, replicas=4)


def test_the_same_seed_is_the_same_run_and_another_is_another() -> None:
    runs = [run(GUARDED, callers=10, replicas=4, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_there_is_no_retry_storm_at_any_time(guarded: History) -> None:
    assert guarded.amplification() <= 1.25
    assert guarded.amplification(FAULT, REPAIR) <= 1.25
    assert guarded.amplification(REPAIR, WARM) <= 1.25


def test_before_the_outage_all_is_well_and_after_it_all_is_well_again(guarded: History) -> None:
    assert guarded.success(0, FAULT - 20) == 1.0
    assert guarded.success(END - 60, END) >= 0.99
    recovered = guarded.recovered_after()
    assert recovered is not None
    assert recovered <= WARM - REPAIR + 30.0


def test_meanwhile_the_replicas_that_are_left_do_most_of_what_they_can(guarded: History) -> None:
    assert guarded.success(FAULT + 10, REPAIR) >= 0.3


def test_without_budget_and_breakers_the_storm_outlives_its_cause() -> None:
    unguarded = run(UNGUARDED, callers=60, replicas=4)
    assert unguarded.amplification(REPAIR, END) > 2.0
    assert unguarded.success(END - 60, END) < 0.5
    assert unguarded.recovered_after() is None


def test_the_plot_is_a_picture_of_both(guarded: History) -> None:
    picture = plot([("with budget and breakers", guarded), ("without", guarded)])
    assert picture.startswith("<svg ")
    assert picture.count("<polyline") == 4
