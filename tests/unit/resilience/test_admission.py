from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trunkline.resilience.admission import SMOOTHING, Admission, Ticket


def full(limit: int = 1, waiting: int = 10) -> Admission:
    admission = Admission(limit, waiting)
    for _ in range(limit):
        assert admission.try_enter()
    return admission


def wait(admission: Admission, deadline: float = inf, now: float = 0.0) -> Ticket:
    ticket = admission.enqueue(deadline, now)
    assert ticket is not None
    return ticket


def test_no_more_than_the_limit_enter() -> None:
    admission = Admission(3, 0)
    assert [admission.try_enter() for _ in range(5)] == [True, True, True, False, False]
    assert repr(admission) == "<Admission [3 of 3 in flight, 0 of 0 waiting, 0 refused, 0 s each]>"


def test_a_place_given_back_goes_to_whoever_waited_longest() -> None:
    admission = full()
    first, second = wait(admission), wait(admission)
    assert admission.leave(1.0, 1.0) is first
    assert admission.leave(2.0, 1.0) is second
    assert admission.leave(3.0, 1.0) is None
    assert (admission.in_flight, admission.entered) == (0, 3)


def test_nobody_overtakes_those_who_wait() -> None:
    admission = full(limit=2)
    waiter = wait(admission)
    assert admission.leave(1.0, 1.0) is waiter
    assert not admission.try_enter()
    assert admission.in_flight == 2


def test_the_waiter_is_woken_by_whoever_is_told() -> None:
    admission, woken = full(), list[str]()
    ticket = wait(admission)
    ticket.wake = lambda: woken.append("waiter")
    turn = admission.leave(1.0, 1.0)
    assert turn is not None
    turn.wake()
    assert woken == ["waiter"]


def test_a_turn_that_comes_before_anybody_sleeps_wakes_nobody() -> None:
    admission = full()
    wait(admission)
    turn = admission.leave(1.0, 1.0)
    assert turn is not None
    turn.wake()
    assert turn.is_granted


def test_a_full_queue_refuses_at_once() -> None:
    admission = full(waiting=1)
    wait(admission)
    assert admission.enqueue(inf, 0.0) is None
    assert (admission.waiting, admission.refused_full, admission.refused_late) == (1, 1, 0)


def test_without_room_to_wait_everybody_beyond_the_limit_is_refused() -> None:
    assert full(waiting=0).enqueue(inf, 0.0) is None


def test_who_cannot_be_served_before_the_deadline_is_refused_at_once() -> None:
    admission = full(limit=2)
    admission.leave(4.0, 4.0)
    assert admission.try_enter()
    assert admission.expected_wait() == 2.0
    assert admission.enqueue(12.0, 10.0) is None
    wait(admission, deadline=12.1, now=10.0)
    assert admission.expected_wait() == 4.0
    assert admission.enqueue(13.0, 10.0) is None
    assert admission.refused_late == 2


def test_who_is_past_the_deadline_already_is_refused() -> None:
    assert full().enqueue(5.0, 5.0) is None


def test_the_service_time_is_a_moving_average_that_starts_with_the_first() -> None:
    admission = full(limit=2)
    admission.leave(0.0, 10.0)
    assert admission.service_time == 10.0
    admission.leave(0.0, 5.0)
    assert admission.service_time == 10.0 - 5.0 * SMOOTHING


def test_expired_waiters_are_skipped_and_counted() -> None:
    admission = full()
    late, later, alive = wait(admission, 5.0), wait(admission, 6.0), wait(admission, 7.0)
    assert admission.leave(6.0, 0.0) is alive
    assert admission.expired == 2
    assert not late.is_granted
    assert not later.is_granted
    assert admission.abandon(late, 6.0) is None
    assert (admission.in_flight, admission.waiting, admission.abandoned) == (1, 0, 0)


def test_a_place_is_free_again_when_all_waiters_have_expired() -> None:
    admission = full()
    wait(admission, 5.0)
    assert admission.leave(5.0, 0.0) is None
    assert admission.try_enter()


def test_a_cancelled_waiter_leaves_the_queue_from_the_middle() -> None:
    admission = full()
    first, second, third = wait(admission), wait(admission), wait(admission)
    assert admission.abandon(second, 0.0) is None
    assert admission.leave(1.0, 1.0) is first
    assert admission.leave(2.0, 1.0) is third
    assert admission.abandoned == 1


def test_a_waiter_cancelled_as_its_turn_comes_passes_the_turn_on() -> None:
    admission = full()
    first, second = wait(admission), wait(admission)
    assert admission.leave(1.0, 1.0) is first
    assert admission.abandon(first, 1.0) is second
    assert second.is_granted
    assert (admission.in_flight, admission.entered) == (1, 2)


def test_the_last_waiter_cancelled_as_its_turn_comes_frees_the_place() -> None:
    admission = full()
    waiter = wait(admission)
    admission.leave(1.0, 1.0)
    assert admission.abandon(waiter, 1.0) is None
    assert admission.in_flight == 0
    assert admission.try_enter()


def test_a_turn_given_up_twice_frees_one_place() -> None:
    admission = full(limit=2)
    waiter = wait(admission)
    admission.leave(1.0, 1.0)
    admission.abandon(waiter, 1.0)
    admission.abandon(waiter, 1.0)
    assert (admission.in_flight, admission.abandoned) == (1, 1)


def test_a_larger_limit_lets_the_longest_waiting_in() -> None:
    admission = full()
    first, second, third = wait(admission), wait(admission), wait(admission)
    assert admission.resize(3, 0.0) == (first, second)
    assert (admission.in_flight, admission.limit) == (3, 3)
    assert not third.is_granted


def test_a_smaller_limit_disturbs_nobody_and_takes_places_as_they_are_given_back() -> None:
    admission = full(limit=3)
    waiter = wait(admission)
    assert admission.resize(1, 0.0) == ()
    assert admission.in_flight == 3
    assert admission.leave(1.0, 1.0) is None
    assert admission.leave(1.0, 1.0) is None
    assert admission.leave(1.0, 1.0) is waiter
    assert admission.in_flight == 1


@dataclass(eq=False)
class Waiter:
    ticket: Ticket
    deadline: float


class AdmissionAgainstList(RuleBasedStateMachine):
    """The ledger beside a plain list of waiters and a number of places."""

    @initialize(limit=st.integers(1, 3), waiting=st.integers(0, 4))
    def start(self, limit: int, waiting: int) -> None:
        self.admission = Admission(limit, waiting)
        self.limit = limit
        self.room = waiting
        self.now = 0.0
        self.placed = 0
        self.queue: list[Waiter] = []
        self.granted: list[Waiter] = []
        self.average: float | None = None

    def next_turn(self) -> Waiter | None:
        while self.queue and self.placed < self.limit:
            waiter = self.queue.pop(0)
            if waiter.deadline > self.now:
                self.placed += 1
                self.granted.append(waiter)
                return waiter
        return None

    def agree(self, turn: Ticket | None) -> None:
        expected = self.next_turn()
        assert turn is (None if expected is None else expected.ticket)

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(patience=st.sampled_from([0.0, 1.0, 3.0, 30.0]))
    def somebody_comes(self, patience: float) -> None:
        entered = self.admission.try_enter()
        assert entered == (self.placed < self.limit and not self.queue)
        if entered:
            self.placed += 1
            return
        deadline = self.now + patience
        ticket = self.admission.enqueue(deadline, self.now)
        wait = (len(self.queue) + 1) * (self.average or 0.0) / self.limit
        assert (ticket is not None) == (len(self.queue) < self.room and self.now + wait < deadline)
        if ticket is not None:
            self.queue.append(Waiter(ticket, deadline))

    @precondition(lambda self: self.placed > len(self.granted))
    @rule(held_for=st.sampled_from([0.5, 1.0, 6.0]))
    def somebody_leaves(self, held_for: float) -> None:
        self.placed -= 1
        self.average = held_for if self.average is None else self.average + (held_for - self.average) * SMOOTHING
        self.agree(self.admission.leave(self.now, held_for))

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def a_waiter_takes_its_turn(self, data: st.DataObject) -> None:
        self.granted.remove(data.draw(st.sampled_from(self.granted)))

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def a_waiter_is_cancelled_as_its_turn_comes(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.granted))
        self.granted.remove(waiter)
        self.placed -= 1
        self.agree(self.admission.abandon(waiter.ticket, self.now))

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def a_waiter_is_cancelled(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.queue))
        self.queue.remove(waiter)
        assert self.admission.abandon(waiter.ticket, self.now) is None

    @rule(limit=st.integers(1, 3))
    def the_limit_changes(self, limit: int) -> None:
        self.limit = limit
        for turn in (*self.admission.resize(limit, self.now), None):
            self.agree(turn)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.admission.in_flight == self.placed
        assert self.admission.waiting == len(self.queue)
        assert all(waiter.ticket.is_granted for waiter in self.granted)
        assert not any(waiter.ticket.is_granted for waiter in self.queue)

    @invariant()
    def nobody_waits_while_a_place_is_free(self) -> None:
        assert self.placed >= self.limit or not self.queue


AdmissionAgainstList.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestAdmissionAgainstList = AdmissionAgainstList.TestCase
