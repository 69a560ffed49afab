"""What the tier decides without a server: when to probe, what waits, what is told again, what time it is."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache import pending_writes
from trunkline.cache.outbox import Outbox
from trunkline.cache.pending_writes import PendingWrites
from trunkline.cache.shared_clock import SharedClock
from trunkline.cache.tier_circuit import TierCircuit
from trunkline.policy import RedisPolicy

POLICY = RedisPolicy(url="redis://host", open_for=0.25, open_cap=2.0)


def circuit() -> TierCircuit:
    return TierCircuit(POLICY, random.Random(1))


def outbox() -> Outbox:
    numbers = itertools.count(1)
    return Outbox(lambda: b"fresh%d" % next(numbers))


def test_the_pause_between_probes_doubles_up_to_its_cap_and_is_never_longer() -> None:
    it, pauses = circuit(), []
    for moment in range(6):
        it.fail(float(moment))
        pauses.append(it.pause())
    for pause, bound in zip(pauses, (0.25, 0.5, 1.0, 2.0, 2.0, 2.0), strict=True):
        assert 0.75 * bound <= pause <= bound


def test_a_tier_that_was_well_for_a_while_is_probed_soon_after_its_next_fault() -> None:
    it = circuit()
    for moment in range(5):
        it.fail(float(moment))
    assert it.close(10.0) == 10.0
    it.fail(13.0)
    assert it.pause() <= 0.25


def test_a_tier_that_passes_probes_and_fails_in_use_is_left_alone_for_longer_each_time() -> None:
    it, pauses = circuit(), []
    for moment in range(4):
        it.fail(float(moment))
        pauses.append(it.pause())
        it.close(moment + 0.5)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 1.0


def test_the_first_connection_has_not_been_lost_before() -> None:
    assert circuit().close(5.0) == 0.0


def test_a_circuit_says_how_it_is() -> None:
    it = circuit()
    it.fail(0.0)
    assert repr(it) == "<TierCircuit open, probed every 0.25 s>"
    it.close(1.0)
    assert repr(it) == "<TierCircuit closed>"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), max_size=50), st.integers(1, 4))
def test_the_last_write_of_a_key_wins_and_no_more_wait_than_may(writes: list[tuple[int, int]], limit: int) -> None:
    pending = PendingWrites(limit)
    expected: dict[bytes, int] = {}
    for number, (key, size) in enumerate(writes):
        name = b"%d" % key
        if pending.add(name, size, [("SET", name, number)]):
            expected[name] = number
        else:
            assert name not in expected
            assert len(expected) == limit
    assert len(pending) == len(expected) <= limit
    taken = [command for commands in pending.take() for command in commands]
    assert {command[1]: command[2] for command in taken} == expected
    assert len(pending) == 0


def test_what_waits_is_bounded_in_bytes_too_and_goes_in_portions() -> None:
    pending = PendingWrites(1_000)
    size = pending_writes.MAX_BYTES // 10
    assert [pending.add(b"%d" % number, size, [("SET", number)]) for number in range(12)] == [True] * 10 + [False] * 2
    assert pending.add(b"0", size, [("SET", "again")])
    # Each is larger than a portion, and one always goes.
    assert [len(pending.take()) for _ in range(11)] == [1] * 10 + [0]
    assert pending.add(b"x", size, [("SET", "x")])
    assert pending.clear() == 1
    assert repr(pending) == "<PendingWrites [0 of 1000, 0 bytes]>"


def test_a_version_that_is_told_at_once_is_told_as_it_is() -> None:
    it = outbox()
    it.add({"a": b"1"}, now=0.0)
    it.add({"a": b"2", "b": b"3"}, now=0.0)
    telling, fresh = it.take(0.01)
    assert (telling, fresh) == ({"a": b"2", "b": b"3"}, {})
    it.hear(telling, 0.02)
    assert len(it) == 0


def test_a_version_that_could_not_be_told_at_once_is_replaced_before_it_is_told() -> None:
    late, failed = outbox(), outbox()
    late.add({"a": b"1"}, now=0.0)
    assert late.take(1.0) == ({"a": b"fresh1"}, {"a": b"fresh1"})
    failed.add({"a": b"1"}, now=0.0)
    assert failed.take(0.0) == ({"a": b"1"}, {})
    assert failed.take(0.01) == ({"a": b"fresh1"}, {"a": b"fresh1"})


def test_a_version_asked_for_while_an_older_one_is_told_goes_on_waiting() -> None:
    it = outbox()
    it.add({"a": b"1"}, now=0.0)
    telling, _ = it.take(0.0)
    it.add({"a": b"2"}, now=0.01)
    it.hear(telling, 0.02)
    assert it.take(0.03) == ({"a": b"2"}, {})


def test_what_was_heard_just_before_a_loss_is_told_again_as_something_fresh() -> None:
    it = outbox()
    for tag, at in (("old", 0.0), ("new", 10.0)):
        it.add({tag: b"1"}, now=at)
        it.hear(it.take(at)[0], at)
    it.doubt(lost_at=12.0)
    assert it.take(13.0) == ({"new": b"fresh1"}, {"new": b"fresh1"})
    it.hear({"new": b"fresh1"}, 13.0)
    assert len(it) == 0


def test_the_outbox_has_an_end_and_says_what_it_has_lost() -> None:
    it = outbox()
    for number in range(16_500):
        it.add({str(number): b"v"}, now=0.0)
    assert len(it) == 16_384
    assert it.lost == 116
    assert "116 lost" in repr(it)


@given(st.floats(0, 1e6), st.floats(0, 0.05), st.floats(1e9, 2e9))
def test_times_are_translated_within_the_error_of_the_reading(asked: float, took: float, server: float) -> None:
    clock = SharedClock.read(asked, asked + took, server)
    assert clock.local(clock.shared(asked)) == pytest.approx(asked, abs=1e-5)
    assert clock.error == pytest.approx(took / 2, abs=1e-6)
    # The server was asked at some time between.
    assert clock.shared(asked) - 1e-5 <= server <= clock.shared(asked + took) + 1e-5
