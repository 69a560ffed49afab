"""How one alert comes and goes: the edges, one by one, and what holds whatever is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.alerts.state import Status, advanced


def course(found: str, *, hold: float, keep: float) -> str:
    """The first letters of the states after each evaluation, one a second; `x` finds it bad."""
    status: Status | None = None
    letters = ""
    for now, letter in enumerate(found):
        status = advanced(status, is_bad=letter == "x", now=float(now), hold=hold, keep=keep)
        letters += "i" if status is None else status.state[0]
    return letters


def test_what_is_bad_fires_once_it_has_been_so_for_long_enough() -> None:
    assert course("xxxx", hold=2, keep=0) == "ppff"


def test_without_a_time_to_wait_it_fires_at_once() -> None:
    assert course(".x.", hold=0, keep=0) == "ifi"


def test_what_is_over_before_that_was_nothing() -> None:
    assert course("xx.xx.", hold=2, keep=9) == "ppippi"


def test_a_firing_alert_is_over_only_once_it_has_been_well_for_long_enough() -> None:
    assert course("x..x...", hold=0, keep=2) == "frrfrri"


def test_what_flaps_faster_than_that_is_one_incident() -> None:
    assert course("xx" + ".x" * 20, hold=1, keep=3) == "pf" + "rf" * 20


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_nothing_fires_that_was_not_bad_for_the_whole_time_nor_ends_that_was_not_well_for_it(
    found: list[bool], hold: int, keep: int
) -> None:
    letters = course("".join("x" if bad else "." for bad in found), hold=hold, keep=keep)
    fires = [at for at, letter in enumerate(letters) if letter == "f" and letters[at - 1 : at] in ("", "i", "p")]
    assert all(all(found[at - hold : at + 1]) for at in fires)
    ends = [at for at, letter in enumerate(letters) if letter == "i" and at and letters[at - 1] in "fr"]
    assert all(not any(found[at - keep : at + 1]) for at in ends)
