from __future__ import annotations

import pytest

from trunkline.policy import RetryPolicy
from trunkline.resilience.budget import RetryBudget
from trunkline.resilience.incidents import REMEMBERED, SHARE, Incidents, Waves


def test_incidents_are_told_apart_by_identity_not_by_looks() -> None:
    incidents = Incidents()
    first, twin = ["lost"], ["lost"]
    incidents.add(first)
    assert first in incidents
    assert twin not in incidents


def test_no_incident_is_never_remembered() -> None:
    incidents = Incidents()
    incidents.add(None)
    assert None not in incidents
    assert repr(incidents) == f"<Incidents [0 of {REMEMBERED} remembered]>"


def test_only_the_latest_incidents_are_remembered() -> None:
    incidents, things = Incidents(), [object() for _ in range(REMEMBERED + 3)]
    for thing in things:
        incidents.add(thing)
    assert [thing in incidents for thing in things] == [False] * 3 + [True] * REMEMBERED


def test_a_remembered_incident_cannot_be_confused_with_a_new_one_at_its_address() -> None:
    incidents = Incidents()
    for _ in range(1000):
        thing = object()
        assert thing not in incidents
        incidents.add(thing)
        del thing


def test_cleared_incidents_are_news_again() -> None:
    incidents, thing = Incidents(), object()
    incidents.add(thing)
    incidents.clear()
    assert thing not in incidents


def waves(answered: int) -> Waves:
    found = Waves()
    for _ in range(answered):
        found.answered()
    return found


def test_before_anything_failed_there_is_nothing_to_share() -> None:
    assert (
        repr(waves(answered=2)) == "<Waves [2 answered since the last, <Wave [0 more may share what one of it paid]>]>"
    )


def test_requests_under_way_when_the_first_of_them_failed_are_one_wave() -> None:
    failing = waves(answered=0)
    assert len({failing.of(sent=1.0 + number / 100, now=2.0 + number / 100) for number in range(50)}) == 1


def test_a_request_made_after_the_first_failure_is_of_another_wave() -> None:
    failing = waves(answered=1000)
    assert failing.of(sent=1.0, now=2.0) is not failing.of(sent=2.5, now=3.0)
    failing = waves(answered=1000)
    assert failing.of(sent=1.0, now=2.0) is failing.of(sent=2.0, now=3.0), "at that very moment it was under way"


def test_a_wave_shares_as_far_as_answers_since_the_last_one_go() -> None:
    failing = waves(answered=3 * SHARE + SHARE - 1)
    first = failing.of(sent=1.0, now=2.0)
    assert repr(failing) == "<Waves [0 answered since the last, <Wave [3 more may share what one of it paid]>]>"
    assert [first.share() for _ in range(5)] == [True] * 3 + [False] * 2
    assert not failing.of(sent=3.0, now=4.0).share(), "nothing was answered in between"


@pytest.mark.parametrize(("answered", "granted"), [(0, 10), (50, 20), (5000, 64)])
def test_retries_of_a_wave_are_paid_once_as_far_as_it_shares_and_then_each(answered: int, granted: int) -> None:
    budget, wave = RetryBudget(RetryPolicy()), waves(answered).of(sent=1.0, now=2.0)
    spent = [budget.try_spend(timeout=False, incident=wave) for _ in range(64)]
    assert sum(each is not None for each in spent) == granted
    assert budget.balance == (90.0 if answered == 5000 else 0.0)


def test_however_large_its_waves_what_fails_always_is_not_retried_for_free() -> None:
    """The storm of R8: 64 callers whose requests are all under way at once, again and again."""
    failing, budget = waves(answered=0), RetryBudget(RetryPolicy())
    granted = [
        budget.try_spend(timeout=False, incident=failing.of(sent=wave, now=wave + 0.5))
        for wave in range(10)
        for _ in range(64)
    ]
    assert sum(spent is not None for spent in granted) == 10
