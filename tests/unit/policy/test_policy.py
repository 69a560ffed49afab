"""A policy is checked at birth; the message names the field, what was found and what was expected."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest

from trunkline import policy
from trunkline.policy import (
    BreakerPolicy,
    BulkheadPolicy,
    DomainPolicy,
    HealthPolicy,
    PoolPolicy,
    RetryPolicy,
    ServerPolicy,
    ToolPolicy,
    require,
)

POLICIES: list[Any] = [
    kind for name in policy.__all__ if is_dataclass(kind := getattr(policy, name)) and name.endswith("Policy")
]

MISTAKES = [
    (RetryPolicy, "attempts", 0, "1 or more"),
    (RetryPolicy, "base", 0.0, "a number greater than 0"),
    (RetryPolicy, "cap", -1.0, "a number greater than 0"),
    (RetryPolicy, "budget", 0.0, "a number greater than 0"),
    (RetryPolicy, "cost", -1.0, "0 or more"),
    (RetryPolicy, "timeout_cost", -1.0, "0 or more"),
    (RetryPolicy, "refund", -0.5, "0 or more"),
    (BreakerPolicy, "consecutive", 0, "1 or more"),
    (BreakerPolicy, "minimum", 0, "1 or more"),
    (BreakerPolicy, "successes", 0, "1 or more"),
    (BreakerPolicy, "ratio", 0.0, "a ratio greater than 0, at most 1"),
    (BreakerPolicy, "ratio", 1.5, "a ratio greater than 0, at most 1"),
    (BreakerPolicy, "slow_ratio", 80.0, "a ratio greater than 0, at most 1"),
    (BreakerPolicy, "window", 0.0, "a number greater than 0"),
    (BreakerPolicy, "slow", 0.0, "a number greater than 0"),
    (BreakerPolicy, "open_for", -2.0, "a number greater than 0"),
    (BreakerPolicy, "open_cap", 0.0, "a number greater than 0"),
    (BulkheadPolicy, "limit", 0, "a number greater than 0"),
    (BulkheadPolicy, "waiting", -1, "0 or more"),
    (PoolPolicy, "connections", 0, "1 or more"),
    (PoolPolicy, "connect_timeout", 0.0, "a number greater than 0"),
    (PoolPolicy, "base", 0.0, "a number greater than 0"),
    (PoolPolicy, "cap", 0.0, "a number greater than 0"),
    (PoolPolicy, "patience", -1.0, "0 or more"),
    (PoolPolicy, "grace", -1.0, "0 or more"),
    (HealthPolicy, "interval", 0.0, "a number greater than 0"),
    (HealthPolicy, "timeout", 0.0, "a number greater than 0"),
    (HealthPolicy, "down_after", 0, "1 or more"),
    (HealthPolicy, "up_after", 0, "1 or more"),
    (HealthPolicy, "restart_after", -1, "0 or more"),
    (ServerPolicy, "timeout", 0.0, "a number greater than 0"),
    (ServerPolicy, "attempt_timeout", -1.0, "a number greater than 0"),
    (ServerPolicy, "refresh", 0.0, "a number greater than 0"),
    (ToolPolicy, "timeout", 0.0, "a number greater than 0"),
    (ToolPolicy, "attempt_timeout", 0.0, "a number greater than 0"),
    (DomainPolicy, "p95", 0.0, "a number greater than 0"),
    (DomainPolicy, "error_ratio", 5.0, "a ratio greater than 0, at most 1"),
]


@pytest.mark.parametrize(("kind", "field", "found", "expected"), MISTAKES)
def test_a_mistake_is_told_with_what_was_found_and_what_was_expected(
    kind: Any, field: str, found: object, expected: str
) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        kind(**{field: found})
    assert str(raised.value) == f"{field} = {found!r}: expected {expected}"


@pytest.mark.parametrize(
    ("kind", "field"),
    sorted({(kind, field) for kind, field, _, _ in MISTAKES}, key=str),
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_not_a_number_is_a_mistake_like_any_other(kind: Any, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} = nan"):
        kind(**{field: math.nan})


@pytest.mark.parametrize("kind", POLICIES, ids=lambda kind: kind.__name__)
def test_every_policy_has_sound_defaults_and_never_changes(kind: Any) -> None:
    made = kind()
    assert made == kind()
    assert hash(made) == hash(kind())
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(made, fields(kind)[0].name, None)


@pytest.mark.parametrize("name", ["retry", "breaker", "bulkhead", "health"])
def test_what_can_be_left_out_of_a_stack_is_in_it_unless_it_is_said(name: str) -> None:
    assert getattr(ServerPolicy(), name).enabled is True


def test_the_defaults_are_those_that_were_argued_for() -> None:
    assert (ServerPolicy().timeout, ServerPolicy().attempt_timeout) == (30.0, 10.0)
    assert (RetryPolicy().attempts, RetryPolicy().base, RetryPolicy().cap) == (3, 0.05, 5.0)
    assert (RetryPolicy().budget, RetryPolicy().cost) == (100.0, 10.0)
    assert (BreakerPolicy().consecutive, BreakerPolicy().minimum, BreakerPolicy().window) == (5, 10, 30.0)
    assert (BreakerPolicy().open_for, BreakerPolicy().open_cap, BreakerPolicy().successes) == (2.0, 60.0, 2)
    assert ServerPolicy().trust_annotations is False


def test_what_is_required_and_given_is_no_mistake() -> None:
    require(True, "name", "found", "expected")


def test_the_bounds_themselves_are_allowed() -> None:
    RetryPolicy(attempts=1, cost=0.0, timeout_cost=0.0, refund=0.0)
    BreakerPolicy(ratio=1.0, slow_ratio=1.0, consecutive=1, minimum=1, successes=1)
    BulkheadPolicy(limit=1, waiting=0)
    PoolPolicy(connections=1, patience=0.0, grace=0.0)
    HealthPolicy(restart_after=0)
