from __future__ import annotations

from trunkline.policy import RetryPolicy
from trunkline.resilience.budget import RetryBudget
from trunkline.resilience.incidents import REMEMBERED, SHARE, IncidentGrouping, Incidents


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


def grouping(answered: int) -> IncidentGrouping:
    incidents = IncidentGrouping()
    for _ in range(answered):
        incidents.answered()
    return incidents


def test_requests_under_way_when_the_first_of_them_failed_share_one_incident() -> None:
    incidents = grouping(answered=50 * SHARE)
    assert len({incidents.of(sent=1.0 + number / 100, now=2.0 + number / 100) for number in range(50)}) == 1


def test_a_request_made_after_the_first_failure_is_another_incident() -> None:
    incidents = grouping(answered=1000)
    assert incidents.of(sent=1.0, now=2.0) is not incidents.of(sent=2.5, now=3.0)
    incidents = grouping(answered=1000)
    assert incidents.of(sent=1.0, now=2.0) is incidents.of(sent=2.0, now=3.0), "at that very moment it was under way"


def test_what_was_answered_since_the_last_incident_is_what_may_share_one() -> None:
    incidents = grouping(answered=3 * SHARE + SHARE - 1)
    found = [incidents.of(sent=1.0, now=2.0) for _ in range(6)]
    assert [each is found[0] for each in found] == [True] * 4 + [False] * 2
    assert found[4] is not found[5]
    again = [incidents.of(sent=3.0, now=4.0) for _ in range(6)]
    assert len(set(again)) == 6, "nothing was answered in between"
    assert repr(incidents) == "<IncidentGrouping [0 answered since the last, 0 more may share it]>"


def test_however_large_its_waves_what_fails_always_cannot_share() -> None:
    """The storm of R8: 64 callers whose requests are all under way at once, again and again."""
    incidents, budget = grouping(answered=0), RetryBudget(RetryPolicy())
    granted = [
        budget.try_spend(timeout=False, incident=incidents.of(sent=wave, now=wave + 0.5))
        for wave in range(10)
        for _ in range(64)
    ]
    assert sum(spent is not None for spent in granted) == 10
