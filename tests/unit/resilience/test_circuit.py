from __future__ import annotations

import random
from math import isfinite

import pytest

from trunkline.policy import BreakerPolicy
from trunkline.resilience.circuit import Circuit, Permit, Verdict

SUCCESS, FAILURE, NOTHING = Verdict.SUCCESS, Verdict.FAILURE, Verdict.NOTHING

Change = tuple[str, str, str, float]


class Scene:
    """A circuit and what it told. Half open it is at `self.due`, the moment its open time is over."""

    def __init__(self, policy: BreakerPolicy | None = None, *, slow: float = 8.0) -> None:
        self.changes: list[Change] = []
        self.circuit = Circuit(policy or BreakerPolicy(), slow=slow, rng=random.Random(5), on_change=self.note)

    def note(self, old: str, new: str, reason: str, now: float) -> None:
        assert self.circuit.state == new
        self.changes.append((old, new, reason, now))

    def permit(self, now: float, *, lease: float = 10.0) -> Permit:
        permit = self.circuit.acquire(now, lease=lease)
        assert permit is not None
        return permit

    def attempt(self, verdict: Verdict, now: float, *, soft: bool = False, duration: float | None = None) -> None:
        self.circuit.release(self.permit(now), verdict, now, soft=soft, duration=duration)

    def trip(self, now: float = 0.0) -> float:
        """Open the circuit; returns when its open time is over."""
        for _ in range(5):
            self.attempt(FAILURE, now)
        assert self.circuit.state == "open"
        return now + self.circuit.retry_after(now)


def test_a_closed_circuit_lets_everybody_through() -> None:
    scene = Scene()
    assert all(not scene.permit(0.0).is_probe for _ in range(1000))
    assert scene.circuit.retry_after(0.0) == 0.0
    assert scene.circuit.state == "closed"


def test_five_failures_in_a_row_open_it_with_one_announcement() -> None:
    scene = Scene()
    scene.trip(3.0)
    assert scene.changes == [("closed", "open", "5 failures in a row", 3.0)]


def test_an_open_circuit_lets_nobody_through_until_its_time_is_over() -> None:
    scene = Scene()
    due = scene.trip()
    assert 1.0 <= due <= 2.0
    assert scene.circuit.acquire(due - 0.001) is None
    assert scene.circuit.state_at(due - 0.001) == "open"
    assert scene.circuit.retry_after(due - 0.5) == pytest.approx(0.5)
    assert scene.permit(due).is_probe


def test_reading_the_state_changes_nothing() -> None:
    scene = Scene()
    due = scene.trip()
    assert scene.circuit.state_at(due) == "half_open"
    assert scene.circuit.retry_after(due) == 0.0
    assert scene.circuit.state == "open"
    assert len(scene.changes) == 1


def test_a_half_open_circuit_lets_one_probe_through_at_a_time() -> None:
    scene = Scene()
    due = scene.trip()
    probe = scene.permit(due)
    assert scene.circuit.acquire(due) is None
    scene.circuit.release(probe, SUCCESS, due + 0.1)
    assert scene.permit(due + 0.1).ticket != probe.ticket
    assert scene.circuit.acquire(due + 0.1) is None


def test_two_successful_probes_close_it() -> None:
    scene = Scene()
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    assert scene.circuit.state == "half_open"
    scene.attempt(SUCCESS, due)
    assert [change[:3] for change in scene.changes] == [
        ("closed", "open", "5 failures in a row"),
        ("open", "half_open", f"{due:.1f} s of open time are over"),
        ("half_open", "closed", "2 probes succeeded"),
    ]


def test_one_success_closes_it_where_one_is_asked_for() -> None:
    scene = Scene(BreakerPolicy(successes=1))
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    assert scene.changes[-1][1:3] == ("closed", "1 probe succeeded")


def test_a_failed_probe_opens_it_for_longer() -> None:
    scene = Scene(BreakerPolicy(open_for=2.0, open_cap=6.0))
    due = scene.trip()
    for least, most in [(2.0, 4.0), (3.0, 6.0), (3.0, 6.0)]:
        scene.attempt(FAILURE, due)
        assert scene.changes[-1][:3] == ("half_open", "open", "the probe failed")
        wait = scene.circuit.retry_after(due)
        assert least <= wait <= most
        due += wait


def test_a_soft_failure_fails_a_probe() -> None:
    scene = Scene()
    due = scene.trip()
    scene.attempt(FAILURE, due, soft=True)
    assert scene.circuit.state == "open"


def test_a_failed_probe_undoes_the_success_before_it() -> None:
    scene = Scene()
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    scene.attempt(FAILURE, due)
    due += scene.circuit.retry_after(due)
    scene.attempt(SUCCESS, due)
    assert scene.circuit.state == "half_open"


def test_a_call_that_must_not_run_twice_is_never_the_probe() -> None:
    scene = Scene()
    due = scene.trip()
    assert scene.circuit.acquire(due, may_probe=False) is None
    assert scene.circuit.retry_after(due, may_probe=False) == 2.0
    assert scene.permit(due).is_probe


def test_a_lease_is_at_most_as_long_as_the_open_time() -> None:
    scene = Scene()
    due = scene.trip()
    scene.permit(due, lease=3600.0)
    assert scene.circuit.retry_after(due) == pytest.approx(due)
    assert scene.circuit.acquire(due + due - 0.001) is None
    assert scene.permit(due + due).is_probe


def test_a_shorter_lease_is_kept_to() -> None:
    scene = Scene()
    due = scene.trip()
    scene.permit(due, lease=0.25)
    assert scene.circuit.acquire(due + 0.24) is None
    assert scene.permit(due + 0.25).is_probe


def test_a_probe_that_outlived_its_lease_does_not_free_the_slot_of_the_next() -> None:
    scene = Scene()
    due = scene.trip()
    hung = scene.permit(due, lease=0.5)
    scene.permit(due + 0.5, lease=0.5)
    scene.circuit.release(hung, NOTHING, due + 0.6)
    assert scene.circuit.acquire(due + 0.6) is None


def test_the_lease_of_an_earlier_state_keeps_nobody_out() -> None:
    scene = Scene(BreakerPolicy(open_for=2.0, open_cap=2.0))
    due = scene.trip()
    for _ in range(20):
        scene.permit(due)
        scene.circuit.probe_failed(due)
        due += scene.circuit.retry_after(due)


def test_a_probe_that_outlived_its_lease_still_counts_in_its_own_state() -> None:
    scene = Scene()
    due = scene.trip()
    slow = scene.permit(due, lease=0.5)
    scene.attempt(SUCCESS, due + 0.5)
    scene.circuit.release(slow, SUCCESS, due + 0.6)
    assert scene.circuit.state == "closed"


def test_late_failures_of_an_earlier_state_do_not_open_it_again() -> None:
    scene = Scene()
    stale = [scene.permit(0.0) for _ in range(20)]
    due = scene.trip()
    for permit in stale[:10]:
        scene.circuit.release(permit, FAILURE, due)
    scene.attempt(SUCCESS, due)
    scene.attempt(SUCCESS, due)
    for permit in stale[10:]:
        scene.circuit.release(permit, FAILURE, due)
    assert scene.circuit.state == "closed"
    assert "0 of 0 outcomes failed" in repr(scene.circuit)


def test_the_window_of_before_counts_for_nothing_after_the_circuit_has_closed() -> None:
    scene = Scene(BreakerPolicy(window=1000.0))
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    scene.attempt(SUCCESS, due)
    for _ in range(5):
        scene.attempt(SUCCESS, due)
    for _ in range(4):
        scene.attempt(FAILURE, due)
    assert scene.circuit.state == "closed"
    assert "4 of 9 outcomes failed" in repr(scene.circuit)


def test_the_run_of_before_counts_for_nothing_after_the_circuit_has_closed() -> None:
    scene = Scene()
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    scene.attempt(SUCCESS, due)
    for _ in range(4):
        scene.attempt(FAILURE, due)
    assert scene.circuit.state == "closed"


def test_answers_that_come_too_late_open_it() -> None:
    scene = Scene(slow=8.0)
    for _ in range(10):
        scene.attempt(SUCCESS, 0.0, duration=9.0)
    assert scene.changes[-1][2] == "100 % of 10 outcomes in 30 s were slow"


def test_failures_that_come_too_late_count_as_late_too() -> None:
    scene = Scene(BreakerPolicy(consecutive=9, ratio=0.9), slow=8.0)
    for _ in range(4):
        scene.attempt(FAILURE, 0.0, duration=9.0)
        scene.attempt(SUCCESS, 0.0, duration=9.0)
    scene.attempt(FAILURE, 0.0)
    scene.attempt(SUCCESS, 0.0)
    assert scene.changes[-1][2] == "80 % of 10 outcomes in 30 s were slow"


def test_soft_failures_are_no_run_but_a_share() -> None:
    scene = Scene()
    for _ in range(9):
        scene.attempt(FAILURE, 0.0, soft=True)
    assert scene.circuit.state == "closed"
    scene.attempt(FAILURE, 0.0, soft=True)
    assert scene.changes[-1][2] == "100 % of 10 outcomes in 30 s failed"


def test_one_lost_connection_is_one_failure_however_many_calls_were_on_it() -> None:
    scene, lost = Scene(), object()
    for permit in [scene.permit(0.0) for _ in range(50)]:
        scene.circuit.release(permit, FAILURE, 0.0, incident=lost)
    assert scene.circuit.state == "closed"
    assert "1 failure in a row, 1 of 1 outcomes failed" in repr(scene.circuit)


def test_a_probe_on_a_lost_connection_fails_even_if_the_loss_is_known() -> None:
    scene, lost = Scene(BreakerPolicy(consecutive=1)), object()
    scene.circuit.release(scene.permit(0.0), FAILURE, 0.0, incident=lost)
    due = scene.circuit.retry_after(0.0)
    scene.circuit.release(scene.permit(due), FAILURE, due, incident=lost)
    assert scene.circuit.state == "open"


def test_synthetic_successes_close_an_open_circuit_early() -> None:
    scene = Scene()
    scene.trip()
    scene.circuit.probe_succeeded(0.1)
    assert scene.circuit.state == "open"
    scene.circuit.probe_succeeded(0.2)
    assert scene.changes[-1] == ("open", "closed", "2 probes succeeded", 0.2)


def test_a_synthetic_success_and_a_leased_one_close_it_together() -> None:
    scene = Scene()
    due = scene.trip()
    scene.circuit.probe_succeeded(0.1)
    scene.attempt(SUCCESS, due)
    assert scene.circuit.state == "closed"


def test_a_synthetic_failure_undoes_the_synthetic_successes_of_an_open_circuit() -> None:
    scene = Scene()
    due = scene.trip()
    scene.circuit.probe_succeeded(0.1)
    scene.circuit.probe_failed(0.2)
    scene.circuit.probe_succeeded(0.3)
    assert scene.circuit.state == "open"
    assert scene.circuit.retry_after(0.3) == pytest.approx(due - 0.3)


def test_a_synthetic_failure_opens_a_half_open_circuit_for_longer() -> None:
    scene = Scene()
    due = scene.trip()
    probe = scene.permit(due)
    scene.circuit.probe_failed(due)
    assert scene.changes[-1][:3] == ("half_open", "open", "a synthetic probe failed")
    assert 2.0 <= scene.circuit.retry_after(due) <= 4.0
    scene.circuit.release(probe, SUCCESS, due)
    assert "0 of 2 proofs" in repr(scene.circuit)


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_synthetic_probe_after_the_open_time_finds_the_circuit_half_open(*, succeeded: bool) -> None:
    scene = Scene()
    due = scene.trip()
    (scene.circuit.probe_succeeded if succeeded else scene.circuit.probe_failed)(due)
    assert [change[1] for change in scene.changes] == ["open", "half_open", *([] if succeeded else ["open"])]


def test_synthetic_probes_say_nothing_to_a_closed_circuit() -> None:
    scene = Scene()
    for _ in range(20):
        scene.circuit.probe_failed(0.0)
        scene.circuit.probe_succeeded(0.0)
    assert scene.changes == []
    assert "0 of 0 outcomes failed" in repr(scene.circuit)


def test_the_open_time_stays_long_until_five_healthy_minutes_have_passed() -> None:
    scene = Scene(BreakerPolicy(open_for=2.0, open_cap=60.0))
    now = scene.trip()
    for _ in range(4):
        scene.attempt(FAILURE, now)
        now += scene.circuit.retry_after(now)
    scene.attempt(SUCCESS, now)
    scene.attempt(SUCCESS, now)
    closed_at = now
    now = scene.trip(now + 299.0)
    assert now - closed_at - 299.0 >= 16.0
    scene.attempt(SUCCESS, now)
    scene.attempt(SUCCESS, now)
    assert 8.0 <= scene.trip(now + 300.0) - now - 300.0 <= 16.0


def test_a_recovered_server_is_given_its_load_back_over_ten_seconds() -> None:
    scene = Scene()
    assert scene.circuit.allowance(0.0) == 1.0
    due = scene.trip()
    assert scene.circuit.allowance(0.5) == 0.1
    scene.attempt(SUCCESS, due)
    assert scene.circuit.allowance(due) == 0.1
    scene.attempt(SUCCESS, due)
    assert [scene.circuit.allowance(due + s) for s in (0.0, 5.0, 10.0, 99.0)] == pytest.approx([0.1, 0.55, 1.0, 1.0])


def test_a_circuit_forced_open_lets_nobody_through_whatever_probes_find() -> None:
    scene = Scene()
    scene.circuit.force_open(1.0)
    scene.circuit.force_open(2.0)
    for _ in range(5):
        scene.circuit.probe_succeeded(1e6)
    assert scene.circuit.acquire(1e9) is None
    assert scene.circuit.retry_after(1e9) == 60.0
    assert isfinite(scene.circuit.retry_after(0.0))
    assert scene.changes == [("closed", "open", "forced open", 1.0)]
    assert repr(scene.circuit).startswith("<Circuit [open, held, ")


def test_a_circuit_forced_open_while_open_stays_so_beyond_its_open_time() -> None:
    scene = Scene()
    due = scene.trip()
    scene.circuit.force_open(0.5)
    assert scene.circuit.acquire(due) is None
    assert len(scene.changes) == 1


def test_a_circuit_forced_closed_forgets_its_trouble() -> None:
    scene = Scene()
    due = scene.trip()
    scene.attempt(FAILURE, due)
    scene.circuit.force_closed(due)
    assert scene.changes[-1] == ("open", "closed", "forced closed", due)
    assert scene.trip(due) - due <= 2.0


def test_a_closed_circuit_forced_closed_tells_nobody_and_starts_afresh() -> None:
    scene = Scene()
    for _ in range(4):
        scene.attempt(FAILURE, 0.0)
    scene.circuit.force_closed(0.0)
    scene.attempt(FAILURE, 0.0)
    assert scene.changes == []
    assert "1 failure in a row, 1 of 1 outcomes failed" in repr(scene.circuit)


def test_a_circuit_held_open_works_again_once_it_is_closed() -> None:
    scene = Scene()
    scene.circuit.force_open(0.0)
    scene.circuit.force_closed(1.0)
    due = scene.trip(2.0)
    assert scene.permit(due).is_probe


def test_the_repr_has_the_numbers_in_one_line() -> None:
    scene = Scene()
    assert repr(scene.circuit) == (
        "<Circuit [closed, 0 failures in a row, 0 of 0 outcomes failed, 0 slow, 0 of 2 proofs, opened 0 times]>"
    )
    due = scene.trip()
    scene.attempt(SUCCESS, due)
    assert repr(scene.circuit) == (
        "<Circuit [half_open, 0 failures in a row, 0 of 0 outcomes failed, 0 slow, 1 of 2 proofs, opened 1 times]>"
    )


def test_a_closed_circuit_opens_on_another_process_s_word_for_as_long_as_that_one_waits() -> None:
    scene = Scene()
    scene.circuit.hear_opened(1.5, 10.0)
    assert scene.changes == [("closed", "open", "another process found it failing", 10.0)]
    assert scene.circuit.was_heard
    assert scene.circuit.acquire(11.4) is None
    assert scene.permit(11.5).is_probe
    assert not scene.circuit.was_heard


def test_no_word_of_another_process_keeps_a_circuit_open_longer_than_the_policy_s_first_open_time() -> None:
    scene = Scene(BreakerPolicy(open_for=2.0, open_cap=60.0))
    scene.circuit.hear_opened(60.0, 0.0)
    assert scene.circuit.retry_after(0.0) == 2.0


def test_an_open_circuit_is_not_kept_open_by_what_others_say() -> None:
    scene = Scene()
    due = scene.trip()
    for _ in range(5):
        scene.circuit.hear_opened(30.0, due - 0.1)
    assert scene.permit(due).is_probe
    scene.circuit.hear_opened(30.0, due)
    assert scene.circuit.state == "half_open"
    assert len(scene.changes) == 2


@pytest.mark.parametrize("seconds", [0.0, -3.0])
def test_word_of_an_opening_that_is_over_opens_nothing(seconds: float) -> None:
    scene = Scene()
    scene.circuit.hear_opened(seconds, 0.0)
    assert scene.circuit.state == "closed"
    assert scene.changes == []


def test_what_was_opened_on_another_s_word_closes_on_another_s_word_open_or_half_open() -> None:
    for now in (1.0, 3.0):
        scene = Scene()
        scene.circuit.hear_opened(2.0, 0.0)
        scene.circuit.acquire(now)
        scene.circuit.hear_closed(now)
        assert scene.changes[-1][1:] == ("closed", "another process found it well", now)
        assert scene.circuit.was_heard
        assert scene.circuit.allowance(now) < 1.0


def test_what_was_opened_for_what_was_seen_here_wants_proofs_of_its_own() -> None:
    scene = Scene()
    scene.trip()
    scene.circuit.hear_closed(0.1)
    assert scene.changes[-1] == ("open", "half_open", "another process found it well", 0.1)
    assert scene.circuit.was_heard
    scene.circuit.hear_closed(0.1)
    assert len(scene.changes) == 2
    scene.attempt(FAILURE, 0.1)
    assert scene.circuit.state == "open"
    assert not scene.circuit.was_heard


def test_an_own_failed_probe_makes_another_s_word_an_opening_of_one_s_own() -> None:
    scene = Scene()
    scene.circuit.hear_opened(2.0, 0.0)
    scene.attempt(FAILURE, 2.0)
    scene.circuit.hear_closed(2.1)
    assert scene.circuit.state == "half_open"


def test_word_that_the_server_is_well_says_nothing_to_a_circuit_that_is_closed_or_held() -> None:
    scene = Scene()
    scene.circuit.hear_closed(0.0)
    assert scene.changes == []
    scene.circuit.force_open(1.0)
    scene.circuit.hear_closed(2.0)
    assert scene.circuit.state == "open"


def test_the_rest_of_another_s_open_time_does_not_shorten_the_turn_of_a_probe() -> None:
    scene = Scene()
    scene.circuit.hear_opened(0.01, 0.0)
    scene.permit(0.01)
    assert scene.circuit.acquire(0.9) is None
    assert scene.permit(1.01).is_probe
