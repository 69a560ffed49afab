"""Every observer hears everything, and no observer's fault is anybody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.bus import EventBus
from trunkline.events import Event, LoopLagged, ObserverFailed

pytestmark = pytest.mark.requirement("INV-4")

LAGGED = LoopLagged(1.0, 0.5)


def heard(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, ObserverFailed)]


def careless(_event: Event) -> None:
    raise KeyError


def test_observers_hear_in_the_order_of_their_subscription() -> None:
    order: list[str] = []
    bus = EventBus([lambda _event: order.append("given")])
    bus.subscribe(lambda _event: order.append("first"))
    bus.subscribe(lambda _event: order.append("second"))
    bus.emit(LAGGED)
    assert order == ["given", "first", "second"]


def test_an_observer_that_raises_costs_nobody_an_event_and_the_emitter_nothing() -> None:
    before: list[Event] = []
    after: list[Event] = []
    bus = EventBus([before.append, careless, after.append])
    for _ in range(3):
        bus.emit(LAGGED)
    assert heard(before) == heard(after) == [LAGGED] * 3
    assert bus.failures == {("careless", "KeyError"): 4}


def test_a_kind_of_failure_is_announced_once() -> None:
    events: list[Event] = []
    errors: list[Exception] = [KeyError(), KeyError(), ValueError(), KeyError()]

    def moody(event: Event) -> None:
        if errors and not isinstance(event, ObserverFailed):
            raise errors.pop(0)

    bus = EventBus([moody, events.append])
    for _ in range(4):
        bus.emit(LAGGED)
    announced = [event for event in events if isinstance(event, ObserverFailed)]
    assert [event.error for event in announced] == ["KeyError", "ValueError"]
    assert {event.at for event in announced} == {LAGGED.at}
    assert sum(bus.failures.values()) == 4


def test_observers_that_all_raise_at_everything_do_not_go_round_in_circles() -> None:
    class Broken:
        def __call__(self, _event: Event) -> None:
            raise RuntimeError

    bus = EventBus([careless, Broken(), careless])
    bus.emit(LAGGED)
    assert set(bus.failures) == {("careless", "KeyError"), (Broken.__qualname__, "RuntimeError")}


def test_who_fails_at_an_announcement_is_counted_and_not_announced() -> None:
    events: list[Event] = []

    def nervous(event: Event) -> None:
        if type(event) is ObserverFailed:
            raise ValueError

    bus = EventBus([careless, nervous, events.append])
    bus.emit(LAGGED)
    assert [event.observer for event in events if isinstance(event, ObserverFailed)] == ["careless"]
    assert len(bus.failures) == 2


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_is_not_swallowed(signal: type[BaseException]) -> None:
    def interrupted(_event: Event) -> None:
        raise signal

    with pytest.raises(signal):
        EventBus([interrupted]).emit(LAGGED)


def test_who_unsubscribes_hears_no_more_and_may_say_so_twice() -> None:
    events: list[Event] = []
    bus = EventBus()
    unsubscribe = bus.subscribe(events.append)
    bus.emit(LAGGED)
    unsubscribe()
    unsubscribe()
    bus.emit(LAGGED)
    assert events == [LAGGED]


def test_one_observer_subscribed_twice_hears_twice_and_leaves_one_at_a_time() -> None:
    events: list[Event] = []
    bus = EventBus()
    first = bus.subscribe(events.append)
    bus.subscribe(events.append)
    bus.emit(LAGGED)
    first()
    first()
    bus.emit(LAGGED)
    assert events == [LAGGED] * 3


def test_subscribing_and_leaving_while_being_told_disturbs_nobody() -> None:
    bus = EventBus()
    events: list[Event] = []
    late: list[Event] = []

    def changing(_event: Event) -> None:
        bus.subscribe(late.append)
        leave()

    leave = bus.subscribe(changing)
    bus.subscribe(events.append)
    bus.emit(LAGGED)
    assert events == [LAGGED]
    assert late == []
    bus.emit(LAGGED)
    assert late == [LAGGED]


def test_a_bus_says_how_many_listen_and_how_often_they_failed() -> None:
    bus = EventBus([lambda _event: None, careless])
    assert repr(bus) == "<EventBus [2 observers, 0 failures]>"
    bus.emit(LAGGED)
    # Once at the event, once at the announcement of its own failure.
    assert repr(bus) == "<EventBus [2 observers, 2 failures]>"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([KeyError, ValueError])), max_size=8))
def test_the_healthy_observers_hear_everything_whoever_else_listens(plan: list[tuple[bool, type[Exception]]]) -> None:
    records: list[list[Event]] = []

    def failing(kind: type[Exception]) -> None:
        def observer(_event: Event) -> None:
            raise kind

        bus.subscribe(observer)

    bus = EventBus()
    for is_healthy, kind in plan:
        if is_healthy:
            records.append([])
            bus.subscribe(records[-1].append)
        else:
            failing(kind)
    bus.emit(LAGGED)
    bus.emit(LAGGED)
    assert all(heard(events) == [LAGGED] * 2 for events in records)


def test_an_observer_may_hear_of_some_kinds_alone() -> None:
    everything: list[Event] = []
    some: list[Event] = []
    bus = EventBus([everything.append])
    unsubscribe = bus.subscribe(some.append, [LoopLagged])
    other = ObserverFailed(2.0, "somebody", "KeyError")
    bus.emit(LAGGED)
    bus.emit(other)
    unsubscribe()
    bus.emit(LAGGED)
    assert everything == [LAGGED, other, LAGGED]
    assert some == [LAGGED]


def test_one_function_may_hear_twice_and_be_removed_once() -> None:
    heard_of: list[Event] = []
    bus = EventBus()
    bus.subscribe(heard_of.append)
    unsubscribe = bus.subscribe(heard_of.append, [LoopLagged])
    bus.emit(LAGGED)
    unsubscribe()
    bus.emit(LAGGED)
    assert heard_of == [LAGGED] * 3
