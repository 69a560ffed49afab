"""When tokens are fetched: early, never in a storm, and never by those who would be refused again."""

from __future__ import annotations

import random
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from trunkline.resilience.renewal import Renewal


def renewal(seed: int = 1) -> Renewal:
    return Renewal(random.Random(seed))


def test_nothing_is_fetched_before_somebody_wants_a_token() -> None:
    fresh = renewal()
    assert fresh.next_fetch(is_wanted=False) == inf
    assert fresh.next_fetch(is_wanted=True) == -inf
    assert not fresh.is_good(0.0)
    assert repr(fresh) == "<Renewal [0 failures, 0 refusals in a row]>"


@given(seed=st.integers(), asked=st.floats(0, 1e6), lifetime=st.floats(2.0, 1e6))
def test_the_next_token_is_fetched_while_the_present_one_is_good(seed: int, asked: float, lifetime: float) -> None:
    found = renewal(seed)
    found.granted(asked, asked, lifetime)
    due = found.next_fetch(is_wanted=False)
    assert asked + 0.69 * lifetime <= due <= asked + 0.86 * lifetime
    assert found.is_good(asked + 0.86 * lifetime)
    assert not found.is_good(asked + lifetime)


def test_processes_that_started_together_do_not_all_fetch_at_once() -> None:
    due = set()
    for seed in range(20):
        found = renewal(seed)
        found.granted(0.0, 0.0, 3600.0)
        due.add(round(found.next_fetch(is_wanted=False)))
    assert len(due) > 15
    assert max(due) - min(due) > 300


def test_a_long_lived_token_is_used_until_ten_seconds_before_its_end() -> None:
    found = renewal()
    found.granted(0.0, 0.0, 3600.0)
    assert found.is_good(3589.9)
    assert not found.is_good(3590.0)


def test_a_token_that_says_nothing_of_its_end_is_used_until_it_is_refused() -> None:
    found = renewal()
    found.granted(0.0, 0.0, None)
    assert found.is_good(1e9)
    assert found.next_fetch(is_wanted=False) == inf
    assert found.refused(1e9)
    assert not found.is_good(1e9)


def test_failed_fetches_are_made_less_and_less_often_up_to_a_minute() -> None:
    found, now, pauses = renewal(), 0.0, []
    for _ in range(40):
        found.failed(now)
        assert found.next_fetch(is_wanted=True) == found.may_fetch_at
        pauses.append(found.may_fetch_at - now)
        now = found.may_fetch_at
    for times, pause in enumerate(pauses):
        assert 0.5 * min(2.0**times, 60.0) <= pause <= min(2.0**times, 60.0)


def test_processes_that_failed_together_do_not_all_ask_again_at_once() -> None:
    again = []
    for seed in range(50):
        found = renewal(seed)
        found.failed(0.0)
        again.append(found.may_fetch_at)
    assert min(again) < 0.55
    assert max(again) > 0.95
    assert len(set(again)) == 50


def test_a_success_forgets_the_failures() -> None:
    found = renewal()
    for _ in range(8):
        found.failed(0.0)
    found.granted(10.0, 10.0, 60.0)
    assert found.next_fetch(is_wanted=True) == -inf
    found.failed(70.0)
    assert found.may_fetch_at <= 71.0


def test_what_the_authorization_server_asks_for_is_waited_within_reason() -> None:
    found = renewal()
    found.failed(0.0, retry_after=30.0)
    assert found.may_fetch_at == 30.0
    found.failed(0.0, retry_after=1e9)
    assert found.may_fetch_at == 300.0


def test_while_a_good_token_is_there_a_failed_refresh_is_tried_again_after_its_pause() -> None:
    found = renewal()
    found.granted(0.0, 0.0, 100.0)
    due = found.next_fetch(is_wanted=False)
    found.failed(due)
    assert found.is_good(due)
    assert due < found.next_fetch(is_wanted=False) <= due + 1.0


def test_a_refused_token_that_was_taken_before_is_replaced_each_time() -> None:
    found = renewal()
    for now in (0.0, 0.1, 0.2):
        found.granted(now, now, 60.0)
        found.accepted()
        assert found.refused(now)
        assert not found.is_good(now)


def test_a_token_that_is_refused_at_once_is_replaced_once_and_then_after_longer_and_longer_pauses() -> None:
    found, now, fetches = renewal(), 0.0, 0
    found.granted(now, now, 3600.0)
    while now < 600.0:
        if found.refused(now):
            fetches += 1
            found.granted(now, now, 3600.0)
        now += 0.25
    # 0 s, then about 0.75, 1.5, 3 … 45 s apart: storms of refused calls are no storm of fetches.
    assert 12 <= fetches <= 22


def test_a_token_that_is_taken_again_ends_the_pauses() -> None:
    found = renewal()
    found.granted(0.0, 0.0, 60.0)
    assert found.refused(0.0)
    found.granted(0.0, 0.0, 60.0)
    assert not found.refused(0.1)
    found.accepted()
    assert found.refused(0.2)
    found.granted(0.2, 0.2, 60.0)
    found.accepted()
    assert repr(found) == "<Renewal [0 failures, 0 refusals in a row]>"


def test_what_was_refused_is_fetched_again_by_who_wants_it_only() -> None:
    found = renewal()
    found.failed(-100.0)
    found.granted(0.0, 0.0, 60.0)
    assert found.refused(1.0)
    assert found.next_fetch(is_wanted=False) == inf
    assert found.next_fetch(is_wanted=True) == -inf
    assert repr(found) == "<Renewal [0 failures, 1 refusals in a row]>"


@given(lifetime=st.floats(0.0, 1.0), took=st.floats(0.0, 30.0))
def test_a_token_that_hardly_holds_is_used_for_a_second(lifetime: float, took: float) -> None:
    found = renewal()
    found.granted(100.0, 100.0 + took, lifetime)
    assert found.is_good(100.0 + took + 0.99)
    assert 100.0 + took + 0.69 <= found.next_fetch(is_wanted=False) <= 100.0 + took + 0.86


def test_a_server_that_is_not_there_to_be_asked_does_not_lengthen_the_pauses() -> None:
    found, now = renewal(), 0.0
    for _ in range(40):
        found.failed(now, at_server=True)
        assert 0.5 <= found.may_fetch_at - now <= 1.0
        now = found.may_fetch_at
    found.failed(now)
    assert found.may_fetch_at - now <= 1.0
