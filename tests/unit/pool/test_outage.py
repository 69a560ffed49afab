"""How long a server has been away, and from when on waiting for it is pointless."""

from __future__ import annotations

import random

import pytest

from trunkline import PoolPolicy
from trunkline.pool.outage import Outage

POLICY = PoolPolicy(base=1.0, cap=8.0, patience=10.0)


def outage() -> Outage:
    return Outage(POLICY, random.Random(3))


def test_a_server_is_given_up_when_it_has_been_away_for_longer_than_patience() -> None:
    away = outage()
    away.failed("refused", 100.0, hopeless=False, has_others=False)
    away.failed("refused again", 105.0, hopeless=False, has_others=False)

    assert not away.is_given_up(109.9)
    assert away.is_given_up(110.0)
    assert (away.failures, away.reason) == (2, "refused again")


def test_patience_counts_from_the_loss_and_needs_a_failed_connect() -> None:
    away = outage()
    away.lost("reset", 100.0)

    # It may be back at the first try, however long nobody tried.
    assert not away.is_given_up(500.0)
    away.failed("refused", 111.0, hopeless=False, has_others=False)
    assert away.is_given_up(111.0)


def test_a_missing_program_is_given_up_at_once_and_taken_back_when_the_reason_changes() -> None:
    away = outage()
    away.failed("program not found", 0.0, hopeless=True, has_others=False)
    assert away.is_given_up(0.0)

    away.failed("crashed", 1.0, hopeless=False, has_others=False)
    assert not away.is_given_up(1.0)


def test_a_failed_connect_beside_a_working_connection_is_no_outage() -> None:
    away = outage()
    away.failed("refused", 0.0, hopeless=True, has_others=True)

    assert not away.is_given_up(1000.0)
    assert (away.failures, away.reason) == (1, "")


def test_a_connection_ends_the_outage_and_its_memory() -> None:
    away = outage()
    for now in range(5):
        away.failed("refused", float(now), hopeless=True, has_others=False)
    away.over()

    assert (away.failures, away.reason, away.is_given_up(1e9)) == (0, "", False)
    # The next outage starts with short pauses again.
    assert away.failed("refused", 50.0, hopeless=False, has_others=False) <= POLICY.base


@pytest.mark.parametrize("seed", range(5))
def test_pauses_grow_up_to_the_cap_with_jitter_and_the_next_try_is_known(seed: int) -> None:
    away = Outage(POLICY, random.Random(seed))
    for failures in range(12):
        pause = away.failed("refused", 100.0, hopeless=False, has_others=False)
        assert 0 <= pause <= min(POLICY.base * 2**failures, POLICY.cap)
        assert away.next_try == 100.0 + pause


def test_a_loss_that_another_connection_makes_good_is_no_reason_to_give_up() -> None:
    away = outage()
    for _ in range(2):
        away.lost("reset", 100.0)
        away.failed("refused", 101.0, hopeless=True, has_others=True)
        assert not away.is_given_up(101.0)
        away.over()
