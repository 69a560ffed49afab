"""The circuit beside a model that keeps everything and computes the rest.

The model has no counters and no rings: it remembers every outcome since the last transition and counts them anew each
time, by the words of the policy. The rules are weighted so that runs spend their time half open, where breakers break.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trunkline.policy import BreakerPolicy
from trunkline.resilience.circuit import Circuit, Permit, Verdict

POLICY = BreakerPolicy(consecutive=3, ratio=0.5, minimum=6, window=30.0, slow_ratio=0.8, open_for=2.0, open_cap=12.0)
SLOW = 5.0
LEASE = 1.5


@dataclass
class Outcome:
    at: float
    failed: bool
    soft: bool
    slow: bool
    incident: object | None


@dataclass
class Pending:
    permit: Permit
    era: int
    """Transitions told when it was admitted."""
    probe: int | None
    """Its number among the probes."""


class Model:
    """What must be true, written down naively."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.state = "closed"
        self.path: list[tuple[str, str, float]] = []
        self.outcomes: list[Outcome] = []
        self.until = self.stay = 0.0
        self.doublings = 0
        self.closed_at: float | None = None
        self.on_hearsay = False
        self.heard = False
        self.proofs = 0
        self.probes = 0
        self.lease: tuple[int, float] | None = None

    def go(self, state: str, now: float, *, heard: bool = False) -> None:
        self.heard = heard
        self.path.append((self.state, state, now))
        self.state = state
        self.outcomes = []
        self.lease = None
        if state != "half_open":
            self.proofs = 0
        if state == "closed":
            self.closed_at = now

    def open(self, now: float) -> None:
        longest = min(2.0 * 2**self.doublings, 12.0)
        self.stay = longest * (0.5 + 0.5 * self.rng.random())
        self.until = now + self.stay
        self.on_hearsay = False
        self.go("open", now)

    def hear_opened(self, seconds: float, now: float) -> None:
        if self.state == "closed":
            self.stay = min(seconds, 2.0)
            self.until = now + self.stay
            self.on_hearsay = True
            self.go("open", now, heard=True)

    def hear_closed(self, now: float) -> None:
        if self.state != "closed" and self.on_hearsay:
            self.go("closed", now, heard=True)
        elif self.state == "open":
            self.go("half_open", now, heard=True)

    def reopen(self, now: float) -> None:
        if 2.0 * 2**self.doublings < 12.0:
            self.doublings += 1
        self.open(now)

    def age(self, now: float) -> None:
        if self.state == "open" and now >= self.until:
            self.go("half_open", now)

    def admits(self, now: float, *, may_probe: bool) -> bool:
        self.age(now)
        if self.state == "half_open":
            return may_probe and (self.lease is None or now >= self.lease[1])
        return self.state == "closed"

    def prove(self, now: float) -> None:
        self.proofs += 1
        if self.proofs == 2:
            self.go("closed", now)

    def should_open(self, now: float) -> bool:
        hard = [outcome for outcome in self.outcomes if not outcome.soft]
        if len(hard) >= 3 and all(outcome.failed for outcome in hard[-3:]):
            return True
        recent = [outcome for outcome in self.outcomes if outcome.at // 3.0 > now // 3.0 - 10]
        if len(recent) < 6:
            return False
        failed = sum(outcome.failed for outcome in recent) / len(recent)
        slow = sum(outcome.slow for outcome in recent) / len(recent)
        return failed >= 0.5 or slow >= 0.8

    def judge(self, outcome: Outcome) -> None:
        told_of = [known.incident for known in self.outcomes if known.incident is not None]
        if outcome.failed and any(incident is outcome.incident for incident in told_of):
            return
        self.outcomes.append(outcome)
        if self.should_open(outcome.at):
            healthy = 0.0 if self.closed_at is None else outcome.at - self.closed_at
            self.doublings = max(0, self.doublings - int(healthy / 300.0))
            self.open(outcome.at)


class CircuitAgainstModel(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 9))
    def start(self, seed: int) -> None:
        self.now = 0.0
        self.told: list[tuple[str, str, float]] = []
        self.circuit = Circuit(POLICY, slow=SLOW, rng=random.Random(seed), on_change=self.note)
        self.model = Model(seed)
        self.pending: list[Pending] = []
        self.incidents = [object() for _ in range(3)]

    def note(self, old: str, new: str, reason: str, now: float) -> None:
        assert reason
        self.told.append((old, new, now))

    def acquire(self, *, may_probe: bool) -> None:
        expected = self.model.admits(self.now, may_probe=may_probe)
        permit = self.circuit.acquire(self.now, may_probe=may_probe, lease=LEASE)
        assert (permit is not None) == expected
        if permit is None:
            return
        probe = None
        if self.model.state == "half_open":
            self.model.probes += 1
            probe = self.model.probes
            self.model.lease = (probe, self.now + min(LEASE, max(self.model.stay, 1.0)))
        assert permit.is_probe == (probe is not None)
        self.pending.append(Pending(permit, len(self.model.path), probe))

    def release(
        self,
        attempt: Pending,
        verdict: Verdict,
        *,
        soft: bool = False,
        duration: float | None = None,
        incident: object | None = None,
    ) -> None:
        self.pending.remove(attempt)
        self.circuit.release(attempt.permit, verdict, self.now, duration=duration, soft=soft, incident=incident)
        model = self.model
        if attempt.era != len(model.path):
            return
        if attempt.probe is not None and model.lease is not None and model.lease[0] == attempt.probe:
            model.lease = None
        if verdict is Verdict.NOTHING:
            return
        failed = verdict is Verdict.FAILURE
        if attempt.probe is None:
            slow = duration is not None and duration >= SLOW
            model.judge(Outcome(self.now, failed, failed and soft, slow, incident if failed else None))
        elif failed:
            model.reopen(self.now)
        else:
            model.prove(self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.5, 3.0, 31.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(may_probe=st.booleans(), times=st.integers(1, 3))
    def somebody_asks(self, times: int, *, may_probe: bool) -> None:
        for _ in range(times):
            self.acquire(may_probe=may_probe)

    @precondition(lambda self: self.pending)
    @rule(
        data=st.data(),
        verdict=st.sampled_from(Verdict),
        soft=st.booleans(),
        duration=st.sampled_from([None, 0.1, 5.0]),
        which=st.none() | st.integers(0, 2),
    )
    def an_attempt_ends(
        self, data: st.DataObject, verdict: Verdict, duration: float | None, which: int | None, *, soft: bool
    ) -> None:
        incident = None if which is None else self.incidents[which]
        attempt = data.draw(st.sampled_from(self.pending))
        self.release(attempt, verdict, soft=soft, duration=duration, incident=incident)

    @precondition(lambda self: self.model.state == "closed")
    @rule()
    def the_server_dies_and_the_open_time_passes(self) -> None:
        while self.model.state == "closed":
            self.acquire(may_probe=True)
            self.release(self.pending[-1], Verdict.FAILURE)
        self.now = self.model.until

    @precondition(lambda self: self.model.state == "open")
    @rule(short_of=st.sampled_from([0.0, 0.01]))
    def the_open_time_passes(self, short_of: float) -> None:
        self.now = max(self.now, self.model.until - short_of)

    @precondition(lambda self: self.model.state == "half_open" and self.model.lease is not None)
    @rule(short_of=st.sampled_from([0.0, 0.01]))
    def the_lease_passes(self, short_of: float) -> None:
        assert self.model.lease is not None
        self.now = max(self.now, self.model.lease[1] - short_of)

    @precondition(lambda self: any(attempt.probe is not None for attempt in self.pending))
    @rule(verdict=st.sampled_from(Verdict))
    def the_latest_probe_ends(self, verdict: Verdict) -> None:
        self.release([attempt for attempt in self.pending if attempt.probe is not None][-1], verdict)

    @precondition(lambda self: self.model.state != "closed")
    @rule(succeeded=st.booleans())
    def a_synthetic_probe_ends(self, *, succeeded: bool) -> None:
        self.model.age(self.now)
        if succeeded:
            self.circuit.probe_succeeded(self.now)
            self.model.prove(self.now)
        else:
            self.circuit.probe_failed(self.now)
            self.model.proofs = 0
            if self.model.state == "half_open":
                self.model.reopen(self.now)

    @rule(seconds=st.sampled_from([0.05, 1.0, 5.0, 90.0]))
    def another_process_opens_its_circuit(self, seconds: float) -> None:
        self.circuit.hear_opened(seconds, self.now)
        self.model.hear_opened(seconds, self.now)

    @rule()
    def another_process_closes_its_circuit(self) -> None:
        self.circuit.hear_closed(self.now)
        self.model.hear_closed(self.now)

    @invariant()
    def every_transition_was_told_once_and_in_order(self) -> None:
        assert self.told == self.model.path
        assert self.circuit.was_heard == self.model.heard
        assert self.circuit.state == self.model.state

    @invariant()
    def it_says_truly_when_to_come_back(self) -> None:
        wait = self.circuit.retry_after(self.now)
        due = {"closed": -inf, "open": self.model.until, "half_open": self.model.lease[1] if self.model.lease else -inf}
        assert wait == pytest.approx(max(0.0, due[self.model.state] - self.now), abs=1e-9)

    @invariant()
    def the_allowance_is_a_share(self) -> None:
        assert 0.0 < self.circuit.allowance(self.now) <= 1.0


CircuitAgainstModel.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestCircuitAgainstModel = CircuitAgainstModel.TestCase
