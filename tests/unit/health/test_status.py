"""Hysteresis: one bad sign degrades, several take down, several good ones bring back. Against a plain model."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.health.status import HealthState, Status
from trunkline.policy import HealthPolicy

pytestmark = pytest.mark.requirement("SEED-OBS-2", "SEED-CLIENT-1")

Sign = Literal["good", "bad"]


def model(signs: list[Sign], down_after: int, up_after: int) -> HealthState:
    """The state after all of `signs`, told from the signs alone, without keeping a state on the way."""
    if not signs:
        return "unknown"
    run = 0
    for sign in reversed(signs):
        if sign != signs[-1]:
            break
        run += 1
    before = signs[: len(signs) - run]
    if signs[-1] == "bad":
        was_down = bool(before) and model(before, down_after, up_after) == "down"
        return "down" if run >= down_after or was_down else "degraded"
    is_unharmed = not before or model(before, down_after, up_after) == "healthy"
    return "healthy" if run >= up_after or is_unharmed else "degraded"


@given(
    signs=st.lists(st.sampled_from(["good", "bad"]), max_size=40),
    down_after=st.integers(1, 5),
    up_after=st.integers(1, 5),
)
def test_the_state_is_what_the_signs_say(signs: list[Sign], down_after: int, up_after: int) -> None:
    status = Status(HealthPolicy(down_after=down_after, up_after=up_after), 0.0)
    for wall, sign in enumerate(signs, start=1):
        before = (status.state, status.since)
        changed = status.note_good(wall) if sign == "good" else status.note_bad("trouble", wall)
        assert status.state == model(signs[:wall], down_after, up_after)
        assert changed == (status.state != before[0])
        assert status.since == (wall if changed else before[1])
        assert (status.reason == "") == (status.state == "healthy")


def test_what_is_down_does_not_become_merely_degraded_by_another_bad_sign() -> None:
    status = Status(HealthPolicy(down_after=2, up_after=3), 0.0)
    status.note_bad("away", 1.0)
    status.note_bad("away", 2.0)
    status.note_good(3.0)
    assert status.state == "degraded"
    status.note_bad("away again", 4.0)
    assert status.state == "degraded"
    status.note_bad("away again", 5.0)
    assert (status.state, status.since) == ("down", 5.0)


def test_a_server_that_flaps_is_never_called_healthy() -> None:
    status = Status(HealthPolicy(down_after=3, up_after=2), 0.0)
    status.note_bad("flapping", 0.0)
    for wall in range(100):
        status.note_good(wall)
        assert status.state == "degraded"
        status.note_bad("flapping", wall)
        assert status.state == "degraded"


def test_two_signs_at_once_count_as_two() -> None:
    status = Status(HealthPolicy(up_after=2), 0.0)
    status.note_bad("away", 1.0)
    status.note_good(2.0, signs=2)
    assert status.state == "healthy"


def test_the_reason_is_the_latest_one_while_the_state_stays() -> None:
    status = Status(HealthPolicy(down_after=5), 0.0)
    status.note_bad("timeout", 1.0)
    status.note_bad("connection lost", 2.0)
    assert (status.state, status.reason, status.since) == ("degraded", "connection lost", 1.0)
