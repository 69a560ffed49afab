"""What a failed attempt says about its server: nothing, that it is well, that it is overloaded, or that it failed."""

from __future__ import annotations

import pytest

from trunkline.call import Delivery
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CircuitOpen,
    ConnectionLost,
    InvalidResult,
    ServerError,
    ServerUnavailable,
)
from trunkline.resilience.judgement import judge, judge_abandoned
from trunkline.resilience.permit import Verdict


@pytest.mark.parametrize(
    ("error", "verdict", "is_soft"),
    [
        (CircuitOpen("no"), Verdict.NOTHING, False),
        (BulkheadFull("no"), Verdict.NOTHING, False),
        (ServerUnavailable("no"), Verdict.NOTHING, False),
        (AttemptTimeout("late"), Verdict.FAILURE, False),
        (ConnectionLost("gone"), Verdict.FAILURE, False),
        (ConnectionLost("refused", delivery=Delivery.NOT_SENT), Verdict.FAILURE, False),
        (InvalidResult("what?"), Verdict.SUCCESS, False),
        (ServerError("busy", status=429, delivery=Delivery.REFUSED), Verdict.FAILURE, True),
        (ServerError("busy by 503", status=503, delivery=Delivery.UNKNOWN), Verdict.FAILURE, True),
        (ServerError("inside", error_code=-32603), Verdict.FAILURE, True),
        (ServerError("arguments", error_code=-32602), Verdict.SUCCESS, False),
        (ServerError("forbidden", status=403, delivery=Delivery.REFUSED), Verdict.SUCCESS, False),
        (ServerError("bad gateway", status=502, delivery=Delivery.UNKNOWN), Verdict.FAILURE, False),
    ],
    ids=repr,
)
def test_each_failure_says_one_thing(error: CallError, verdict: Verdict, is_soft: bool) -> None:
    assert judge(error) == (verdict, is_soft)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize(("now", "has_passed"), [(9.9, False), (10.0, True), (10.1, True)])
def test_only_a_deadline_that_passed_while_the_server_had_it_counts_against_it(
    delivery: Delivery, now: float, has_passed: bool
) -> None:
    failed = has_passed and delivery is Delivery.UNKNOWN
    assert judge_abandoned(delivery, now, 10.0) is (Verdict.FAILURE if failed else Verdict.NOTHING)
