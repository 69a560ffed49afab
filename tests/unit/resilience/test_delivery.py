from __future__ import annotations

import pytest

from trunkline.call import Delivery
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    InvalidResult,
    ServerError,
    ServerUnavailable,
    ToolNotFound,
    ToolRefused,
)
from trunkline.resilience.delivery import may_fall_back, may_retry, may_serve_kept

both = pytest.mark.parametrize("repeatable", [True, False])


@both
@pytest.mark.parametrize("kind", [ConnectionLost, AttemptTimeout])
def test_what_was_never_sent_is_retried_free_of_charge(kind: type[ConnectionLost], *, repeatable: bool) -> None:
    decision = may_retry(kind("no connection", delivery=Delivery.NOT_SENT), repeatable=repeatable)
    assert (decision.retry, decision.counts, decision.charged) == (True, False, False)


@both
@pytest.mark.parametrize("status", [429, 503])
def test_what_the_server_refused_is_retried_for_any_tool_and_paid(status: int, *, repeatable: bool) -> None:
    error = ServerError("busy", status=status, delivery=Delivery.REFUSED, retry_after=1.0)
    decision = may_retry(error, repeatable=repeatable)
    assert (decision.retry, decision.counts, decision.charged) == (True, True, True)


@both
@pytest.mark.parametrize(
    "error",
    [
        ServerError("forbidden", status=403, delivery=Delivery.REFUSED),
        ServerError("no such page", status=404, delivery=Delivery.REFUSED),
        ConnectionLost("turned away", delivery=Delivery.REFUSED),
    ],
    ids=repr,
)
def test_what_the_server_refused_for_another_reason_than_overload_is_not_retried(
    error: CallError, *, repeatable: bool
) -> None:
    decision = may_retry(error, repeatable=repeatable)
    assert (decision.retry, decision.counts, decision.charged) == (False, True, False)


UNKNOWN = [
    ConnectionLost("cut"),
    AttemptTimeout("late"),
    ServerError("bad gateway", status=502, delivery=Delivery.UNKNOWN),
]


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda error: error.code)
def test_an_unknown_outcome_of_a_repeatable_tool_is_retried_and_paid(error: CallError) -> None:
    decision = may_retry(error, repeatable=True)
    assert (decision.retry, decision.counts, decision.charged) == (True, True, True)


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda error: error.code)
def test_an_unknown_outcome_of_any_other_tool_is_never_retried(error: CallError) -> None:
    decision = may_retry(error, repeatable=False)
    assert (decision.retry, decision.counts, decision.charged) == (False, True, False)


@both
@pytest.mark.parametrize("error", [ServerError("no such method"), InvalidResult("wrong shape")], ids=lambda e: e.code)
def test_what_was_answered_is_never_retried(error: CallError, *, repeatable: bool) -> None:
    assert not may_retry(error, repeatable=repeatable).retry


@both
@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen("open", retry_after=1.0),
        BulkheadFull("full"),
        InvalidArguments("wrong"),
        ToolNotFound("unknown"),
        ToolRefused("changed"),
        ServerUnavailable("away"),
    ],
    ids=lambda error: error.code,
)
def test_what_was_refused_on_this_side_is_never_retried_and_uses_up_nothing(
    error: CallError, *, repeatable: bool
) -> None:
    decision = may_retry(error, repeatable=repeatable)
    assert (decision.retry, decision.counts, decision.charged) == (False, False, False)


@both
@pytest.mark.parametrize("may_have_run", [True, False])
def test_nothing_is_retried_after_the_deadline(*, may_have_run: bool, repeatable: bool) -> None:
    assert not may_retry(DeadlineExceeded("late", may_have_run=may_have_run), repeatable=repeatable).retry


@both
@pytest.mark.parametrize("delivery", Delivery)
def test_nothing_that_may_have_run_is_run_twice_unless_it_may_be(delivery: Delivery, *, repeatable: bool) -> None:
    error = ConnectionLost("cut", delivery=delivery)
    if error.may_have_run and may_retry(error, repeatable=repeatable).retry:
        assert repeatable


def test_every_reason_is_a_constant_of_its_own() -> None:
    errors = [
        (DeadlineExceeded("late", may_have_run=True), True),
        (CircuitOpen("open"), True),
        (ConnectionLost("cut", delivery=Delivery.NOT_SENT), True),
        (ConnectionLost("cut", delivery=Delivery.REFUSED), True),
        (ConnectionLost("cut"), True),
        (ConnectionLost("cut"), False),
        (InvalidResult("wrong"), True),
    ]
    reasons = {may_retry(error, repeatable=repeatable).reason for error, repeatable in errors}
    assert len(reasons) == len(errors)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen("no"),
        ServerUnavailable("no"),
        ConnectionLost("refused", delivery=Delivery.NOT_SENT),
        ServerError("busy", status=429, delivery=Delivery.REFUSED),
        ServerError("forbidden", status=403, delivery=Delivery.REFUSED),
        DeadlineExceeded("late", may_have_run=False),
    ],
    ids=repr,
)
def test_what_has_not_run_may_fall_over_to_another_server(error: CallError, repeatable: bool) -> None:
    assert may_fall_back(error, repeatable=repeatable)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionLost("gone"),
        AttemptTimeout("late"),
        InvalidResult("what?"),
        ServerError("inside", error_code=-32603),
        DeadlineExceeded("late", may_have_run=True),
    ],
    ids=repr,
)
def test_what_may_have_run_falls_over_only_if_it_may_run_twice(error: CallError) -> None:
    assert may_fall_back(error, repeatable=True)
    assert not may_fall_back(error, repeatable=False)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    "error", [InvalidArguments("n"), ToolNotFound("none"), ServerError("arguments", error_code=-32602)], ids=str
)
def test_the_callers_own_mistake_never_falls_over(error: CallError, repeatable: bool) -> None:
    assert not may_fall_back(error, repeatable=repeatable)


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (CircuitOpen("open"), True),
        (ServerUnavailable("away"), True),
        (ToolNotFound("its server was removed"), True),
        (AttemptTimeout("late"), True),
        (ConnectionLost("gone"), True),
        (InvalidResult("what?"), True),
        (DeadlineExceeded("late", may_have_run=True), True),
        (ServerError("inside", error_code=-32603), True),
        (ServerError("down", status=503, delivery=Delivery.UNKNOWN), True),
        (ServerError("busy", status=429, delivery=Delivery.REFUSED), True),
        (ServerError("slow", status=408, delivery=Delivery.REFUSED), True),
        (ServerError("broken", status=500, delivery=Delivery.UNKNOWN), True),
        (InvalidArguments("n"), False),
        (ToolRefused("it may have been another one already when it answered"), False),
        (ServerError("bad request", status=400, delivery=Delivery.REFUSED), False),
        (ServerError("arguments", error_code=-32602), False),
        (ServerError("no such resource", error_code=-32002), False),
        (ServerError("no such method", error_code=-32601), False),
        (ServerError("who are you", status=401, delivery=Delivery.REFUSED), False),
        (ServerError("forbidden", status=403, delivery=Delivery.REFUSED), False),
        (ServerError("gone", status=404, delivery=Delivery.REFUSED), False),
    ],
    ids=repr,
)
def test_an_older_answer_stands_in_for_a_failure_and_not_for_a_no(error: CallError, may: bool) -> None:
    assert may_serve_kept(error) is may
