from __future__ import annotations

from trunkline.resilience.incidents import REMEMBERED, Incidents


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
