"""Many circuits that tell one another, through outages and bad networks: nothing goes round, nobody stays shut out."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from trunkline.policy import BreakerPolicy
from trunkline.resilience.circuit import Circuit, OnChange, Verdict

POLICY = BreakerPolicy(consecutive=3, open_for=2.0, open_cap=30.0)
STEP = 0.25
"""Seconds between two attempts of each process."""


@dataclass
class Process:
    """One of those in front of the same server."""

    circuit: Circuit
    openings: int = 0
    refused: int = 0
    attempts: int = 0


@dataclass
class Together:
    """Processes, and what is on its way between them: told are only transitions made for what was seen."""

    seed: int
    count: int = 6
    now: float = 0.0
    told: int = 0
    processes: list[Process] = field(default_factory=list)
    on_the_way: list[tuple[float, int, int, str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        for number in range(self.count):
            circuit = Circuit(POLICY, slow=8.0, rng=random.Random(self.seed + number), on_change=self._listener(number))
            self.processes.append(Process(circuit))

    def _listener(self, number: int) -> OnChange:
        def note(old: str, new: str, _reason: str, now: float) -> None:
            process = self.processes[number]
            process.openings += new == "open"
            if process.circuit.was_heard or not (new == "closed" or (old, new) == ("closed", "open")):
                return
            self.told += 1
            seconds = process.circuit.retry_after(now)
            for other in range(self.count):
                if other != number:
                    # At times a message takes longer than what it tells of.
                    late = self.rng.choice([0.0, 0.01, 0.5, 3.0])
                    heapq.heappush(self.on_the_way, (now + late, self.rng.getrandbits(30), other, new, now + seconds))

        return note

    def run(self, seconds: float, *, fails: set[int]) -> None:
        """Let time pass, while the server fails those in `fails` and answers the others."""
        until = self.now + seconds
        while self.now < until:
            while self.on_the_way and self.on_the_way[0][0] <= self.now:
                _, _, other, state, over = heapq.heappop(self.on_the_way)
                circuit = self.processes[other].circuit
                if state == "open":
                    circuit.hear_opened(over - self.now, self.now)
                else:
                    circuit.hear_closed(self.now)
            for number, process in enumerate(self.processes):
                permit = process.circuit.acquire(self.now)
                if permit is None:
                    process.refused += 1
                    continue
                process.attempts += 1
                process.circuit.release(permit, Verdict.FAILURE if number in fails else Verdict.SUCCESS, self.now)
            self.now += STEP

    @property
    def states(self) -> set[str]:
        return {process.circuit.state for process in self.processes}


@pytest.mark.parametrize("seed", range(20))
def test_an_outage_is_learnt_once_and_forgotten_by_all_when_it_is_over(seed: int) -> None:
    together = Together(seed)
    together.run(10.0, fails=set())
    assert together.told == 0
    before = [process.attempts for process in together.processes]
    together.run(60.0, fails=set(range(together.count)))
    during = [process.attempts - was for process, was in zip(together.processes, before, strict=True)]
    # 240 attempts each without circuits.
    assert max(during) <= 20
    together.run(2 * POLICY.open_cap, fails=set())
    assert together.states == {"closed"}
    # Each process opens once for what it saw and closes once, if it ever has to find out for itself.
    assert together.told <= 2 * together.count
    refused = [process.refused for process in together.processes]
    told = together.told
    together.run(600.0, fails=set())
    assert [process.refused for process in together.processes] == refused
    assert together.told == told


@pytest.mark.parametrize("seed", range(20))
def test_one_process_with_a_bad_network_costs_the_others_one_open_time_and_no_more(seed: int) -> None:
    together = Together(seed)
    together.run(600.0, fails={0})
    bad, *others = together.processes
    assert bad.openings > 5
    assert max(process.openings for process in others) <= 1
    assert max(process.refused for process in others) * STEP <= POLICY.open_for + STEP
    assert {process.circuit.state for process in others} == {"closed"}


@pytest.mark.parametrize("seed", range(20))
def test_a_process_whose_network_comes_and_goes_keeps_the_others_shut_out_only_while_it_flaps(seed: int) -> None:
    together = Together(seed)
    for _ in range(10):
        together.run(3.0, fails={0})
        together.run(60.0, fails=set())
    _, *others = together.processes
    assert max(process.openings for process in others) <= 10
    assert max(process.refused for process in others) * STEP <= 10 * (POLICY.open_for + STEP)
    together.run(60.0, fails=set())
    assert together.states == {"closed"}
