"""Events are facts: frozen, timed, told in the past tense, and without anything that could be a secret."""

from __future__ import annotations

import dataclasses

import pytest

from trunkline import events
from trunkline.events import Event

KINDS = [kind for name in events.__all__ if isinstance(kind := getattr(events, name), type) and kind is not Event]
PAST = ("ed", "Lost", "Found", "Began")


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_frozen_and_has_a_moment(kind: type[Event]) -> None:
    assert issubclass(kind, Event)
    assert dataclasses.fields(kind)[0].name == "at"
    made = kind(*[0.0 for _ in dataclasses.fields(kind)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.at = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_named_in_the_past_tense(kind: type[Event]) -> None:
    assert kind.__name__.endswith(PAST)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_carries_no_arguments_results_headers_or_addresses(kind: type[Event]) -> None:
    names = {field.name for field in dataclasses.fields(kind)}
    assert not names & {"arguments", "result", "headers", "env", "url", "endpoint", "meta"}


def test_every_kind_of_event_is_public() -> None:
    def below(kind: type[Event]) -> set[str]:
        return {kind.__name__}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {name for name in below(Event) if name != "Event"}
    assert {kind.__name__ for kind in KINDS} <= ours
    assert {name for name in ours if hasattr(events, name)} == {kind.__name__ for kind in KINDS}
