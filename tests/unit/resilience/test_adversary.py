"""The eight checks that circuit breakers in the field fail, one test each, named for what must not happen.

A cancelled probe, a hung probe, a herd at half-open, a late success, cancelling callers, failures that are never in a
row, late failures after the recovery, and a wall clock that is set back.
"""

from __future__ import annotations

import random
import time

import pytest

from trunkline.policy import BreakerPolicy
from trunkline.resilience.circuit import Circuit, Permit, Verdict

OPEN_FOR = 0.3


def make(policy: BreakerPolicy | None = None) -> Circuit:
    policy = policy or BreakerPolicy(open_for=OPEN_FOR, open_cap=OPEN_FOR)
    return Circuit(policy, slow=8.0, rng=random.Random(11), on_change=lambda *_: None)


def admit(circuit: Circuit, now: float) -> Permit:
    permit = circuit.acquire(now)
    assert permit is not None
    return permit


def trip(circuit: Circuit, now: float) -> None:
    for permit in [admit(circuit, now) for _ in range(5)]:
        circuit.release(permit, Verdict.FAILURE, now)
    assert circuit.state == "open"


def recover(circuit: Circuit, now: float) -> None:
    for _ in range(2):
        circuit.release(admit(circuit, now), Verdict.SUCCESS, now)
    assert circuit.state == "closed"


def test_a_cancelled_probe_frees_its_slot_and_proves_nothing() -> None:
    circuit = make()
    trip(circuit, 0.0)
    for _ in range(20):
        circuit.release(admit(circuit, 1.0), Verdict.NOTHING, 1.0)
        assert circuit.state == "half_open"
    recover(circuit, 1.0)


def test_a_hung_probe_never_wedges_the_circuit() -> None:
    circuit = make()
    trip(circuit, 0.0)
    admit(circuit, OPEN_FOR)
    admit(circuit, 2 * OPEN_FOR)
    recover(circuit, 3 * OPEN_FOR)


def test_a_herd_at_a_half_open_circuit_makes_one_probe() -> None:
    circuit = make()
    trip(circuit, 0.0)
    admitted = [circuit.acquire(OPEN_FOR) for _ in range(200)]
    assert [permit is not None for permit in admitted] == [True] + [False] * 199


def test_a_success_from_before_the_trip_closes_nothing() -> None:
    circuit = make()
    stale = [admit(circuit, 0.0) for _ in range(8)]
    trip(circuit, 0.0)
    for permit in stale[:4]:
        circuit.release(permit, Verdict.SUCCESS, 0.1)
    assert circuit.acquire(0.1) is None
    circuit.release(admit(circuit, OPEN_FOR), Verdict.NOTHING, OPEN_FOR)
    for permit in stale[4:]:
        circuit.release(permit, Verdict.SUCCESS, OPEN_FOR)
    assert circuit.state == "half_open"


def test_callers_that_cancel_never_open_the_circuit() -> None:
    circuit = make()
    for _ in range(100):
        circuit.release(admit(circuit, 0.0), Verdict.NOTHING, 0.0, duration=60.0)
    assert circuit.state == "closed"


def test_sixty_percent_failures_open_the_circuit_though_never_five_are_in_a_row() -> None:
    circuit = make()
    outcomes = [Verdict.FAILURE, Verdict.SUCCESS, Verdict.FAILURE, Verdict.SUCCESS, Verdict.FAILURE] * 2
    for verdict in outcomes:
        assert circuit.state == "closed"
        circuit.release(admit(circuit, 0.0), verdict, 0.0)
    assert circuit.state == "open"


def test_failures_from_before_the_trip_do_not_reopen_a_recovered_circuit() -> None:
    circuit = make()
    stale = [admit(circuit, 0.0) for _ in range(8)]
    trip(circuit, 0.0)
    recover(circuit, OPEN_FOR)
    for permit in stale:
        circuit.release(permit, Verdict.FAILURE, OPEN_FOR)
    assert circuit.state == "closed"


def test_a_wall_clock_set_back_an_hour_does_not_keep_the_circuit_open(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = make()
    trip(circuit, 100.0)
    an_hour_ago = time.time() - 3600.0
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    monkeypatch.setattr(time, "time_ns", lambda: int(an_hour_ago * 1e9))
    recover(circuit, 100.0 + OPEN_FOR)
