"""The memory tier keeps within its bytes, loses count of nothing, and keeps what is asked for often."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trunkline.cache.entry import Entry
from trunkline.cache.memory import OVERHEAD, Memory
from trunkline.cache.tiers import Held

DIGESTS = st.integers(0, 12).map(lambda number: bytes([number]))


class MemoryModel(RuleBasedStateMachine):
    """Whatever is put, asked for and dropped: what is there is what was put last, and the bytes add up."""

    LIMIT = 100

    def __init__(self) -> None:
        super().__init__()
        self.memory: Memory[object] = Memory(self.LIMIT)
        self.latest: dict[bytes, tuple[object, int]] = {}

    @rule(digest=DIGESTS, cost=st.integers(1, 130))
    def put(self, digest: bytes, cost: int) -> None:
        value = object()
        fits = self.memory.put(digest, value, cost)
        assert fits == (cost <= self.LIMIT)
        if fits:
            self.latest[digest] = (value, cost)
        else:
            self.latest.pop(digest, None)
            assert self.memory.get(digest) is None

    @rule(digest=DIGESTS)
    def ask(self, digest: bytes) -> None:
        found = self.memory.get(digest)
        assert found is None or found is self.latest[digest][0]

    @rule(digest=DIGESTS)
    def discard(self, digest: bytes) -> None:
        self.memory.discard(digest)
        self.latest.pop(digest, None)
        assert self.memory.get(digest) is None

    @precondition(lambda self: self.latest)
    @rule()
    def clear(self) -> None:
        self.memory.clear()
        self.latest.clear()

    @invariant()
    def bytes_add_up(self) -> None:
        memory = self.memory
        places = {**memory._small, **memory._main}
        assert len(places) == len(memory._small) + len(memory._main) == len(memory)
        assert memory.used == sum(place.cost for place in places.values()) <= self.LIMIT
        assert memory._small_used == sum(place.cost for place in memory._small.values())
        assert all(place.cost == self.latest[digest][1] for digest, place in places.items())
        assert not places.keys() & memory._ghost.keys()
        assert len(memory._ghost) <= self.LIMIT


TestMemoryModel = MemoryModel.TestCase


def test_what_fits_stays() -> None:
    memory: Memory[int] = Memory(100)
    for number in range(10):
        memory.put(bytes([number]), number, 10)
    assert [memory.get(bytes([number])) for number in range(10)] == list(range(10))
    assert memory.evictions == 0


def test_what_is_asked_for_twice_outlives_a_scan() -> None:
    memory: Memory[int] = Memory(100)
    memory.put(b"wanted", 0, 10)
    for _ in range(2):
        memory.get(b"wanted")
    for number in range(200):
        memory.put(bytes([number]), number, 10)
    assert memory.get(b"wanted") == 0


def test_what_comes_back_soon_after_it_went_is_kept_longer() -> None:
    memory: Memory[int] = Memory(100)
    for number in range(12):
        memory.put(bytes([number]), number, 10)
    assert memory.get(b"\x00") is None
    memory.put(b"\x00", 0, 10)
    for number in range(100, 130):
        memory.put(bytes([number]), number, 10)
    assert memory.get(b"\x00") == 0


def test_even_what_was_asked_for_often_goes_when_nobody_asks_any_more() -> None:
    memory: Memory[int] = Memory(100)
    for number in range(10):
        memory.put(bytes([number]), number, 10)
        for _ in range(3):
            memory.get(bytes([number]))
    for number in range(10, 200):
        memory.put(bytes([number]), number, 10)
        for _ in range(2):
            memory.get(bytes([number]))
    assert all(memory.get(bytes([number])) is None for number in range(10))


def test_a_larger_value_in_the_place_of_a_smaller_makes_others_go() -> None:
    memory: Memory[int] = Memory(100)
    for number in range(10):
        memory.put(bytes([number]), number, 10)
    assert memory.put(b"\x09", 9, 50)
    assert memory.used <= 100
    assert memory.evictions >= 4


def hits_of(memory: Memory[int], requests: list[int]) -> float:
    hits = 0
    for number in requests:
        digest = number.to_bytes(4, "big")
        if memory.get(digest) is None:
            memory.put(digest, number, 1)
        else:
            hits += 1
    return hits / len(requests)


def hits_of_lru(limit: int, requests: list[int]) -> float:
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for number in requests:
        if number in kept:
            hits += 1
            kept.move_to_end(number)
        else:
            kept[number] = None
            if len(kept) > limit:
                kept.popitem(last=False)
    return hits / len(requests)


@pytest.mark.parametrize(("share", "scans"), [(0.01, False), (0.05, False), (0.1, False), (0.05, True)])
def test_it_hits_more_often_than_the_least_recently_used_rule_does(share: float, scans: bool) -> None:
    rng, names = random.Random(3), 5000
    weights = [1 / (rank + 1) for rank in range(names)]
    requests = rng.choices(range(names), weights, k=40_000)
    if scans:
        for start in range(0, 40_000, 4_000):
            requests[start : start + 400] = range(names + start, names + start + 400)
    limit = int(share * names)
    assert hits_of(Memory(limit), requests) > hits_of_lru(limit, requests)


@given(st.integers(0, 4000))
def test_a_value_larger_than_all_of_it_is_not_kept(size: int) -> None:
    memory: Memory[int] = Memory(1000)
    assert memory.put(b"a", 1, size + 1) == (size < 1000)


def test_an_entry_costs_no_more_than_is_counted_for_it_and_not_much_less() -> None:
    bodies = [b"x" * 10 + str(number).encode() for number in range(4000)]
    versions = tuple(bytes([number]) * 8 for number in range(7))

    def fill() -> Memory[Held]:
        memory: Memory[Held] = Memory(10**9)
        for number, body in enumerate(bodies):
            start = 1000.0 + number / 7
            entry = Entry(
                "tools/call",
                body,
                (*versions[:-1], versions[number % 7]),
                start,
                1.0 + start,
                0.0,
                0.0,
                start / 3,
                start,
            )
            memory.put(number.to_bytes(16, "big"), Held(entry), OVERHEAD + len(body))
            # As many names of what has gone as there are entries, at most.
            memory._ghost[number.to_bytes(15, "big")] = None
        return memory

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        memory = fill()
        taken = (tracemalloc.get_traced_memory()[0] - before) / len(bodies)
    finally:
        tracemalloc.stop()
    assert len(memory) == len(bodies)
    # The bodies themselves were there before; their objects' heads were not counted with them.
    real = taken + sys.getsizeof(b"")
    assert OVERHEAD / 1.5 <= real <= OVERHEAD, real


def test_a_memory_says_in_one_line_how_full_it_is() -> None:
    memory: Memory[int] = Memory(100)
    memory.put(b"a", 1, 40)
    assert repr(memory) == "<Memory [1 entries, 40 of 100 bytes, 0 evicted]>"
