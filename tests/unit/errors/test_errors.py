"""The tree of errors is the one that is printed, and each says whether the tool may have run."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from trunkline import errors
from trunkline.call import Delivery
from trunkline.errors import (
    CallError,
    CallFailed,
    CallRejected,
    ConfigError,
    DeadlineExceeded,
    InvalidArguments,
    ServerError,
    ToolNotFound,
    TrunklineError,
)


def tree(kind: type[Exception]) -> list[type[Exception]]:
    """A class and everything below it that the module itself defines."""
    return [kind, *(found for child in kind.__subclasses__() for found in tree(child))]


def printed() -> dict[str, tuple[int, str]]:
    """The tree of the module's docstring: name -> (depth, name of the class above)."""
    found: dict[str, tuple[int, str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            found[match[2]] = (depth, above[depth - 1] if depth else "")
    return found


def test_the_printed_tree_is_the_tree_of_classes() -> None:
    for name, (depth, above) in printed().items():
        kind = getattr(errors, name)
        if depth:
            # `CallError` carries what all calls' errors share; for a reader it is not a kind of its own.
            assert above in [base.__name__ for base in kind.__mro__[1:3]], name
    assert set(printed()) | {"CallError"} == {kind.__name__ for kind in tree(TrunklineError)}


def test_everything_the_module_offers_stands_in_the_tree() -> None:
    assert set(errors.__all__) == {kind.__name__ for kind in tree(TrunklineError)}


REJECTED = tree(CallRejected)
FAILED = tree(CallFailed)


@pytest.mark.requirement("SEED-CLIENT-3")
@pytest.mark.parametrize("kind", REJECTED, ids=lambda kind: kind.__name__)
def test_a_rejected_call_has_not_run(kind: type[CallRejected]) -> None:
    error = kind("no")
    assert not error.may_have_run
    assert error.delivery is Delivery.NOT_SENT


@pytest.mark.requirement("SEED-CLIENT-3")
@pytest.mark.parametrize("kind", FAILED, ids=lambda kind: kind.__name__)
def test_a_failed_call_may_have_run_unless_it_is_known_that_it_has_not(kind: Any) -> None:
    assert kind("no").may_have_run
    for delivery, may_have_run in [
        (Delivery.NOT_SENT, False),
        (Delivery.REFUSED, False),
        (Delivery.UNKNOWN, True),
        (Delivery.ANSWERED, True),
    ]:
        assert kind("no", delivery=delivery).may_have_run is may_have_run


@pytest.mark.parametrize("may_have_run", [True, False])
def test_a_passed_deadline_says_whether_it_may_have_run(may_have_run: bool) -> None:
    error = DeadlineExceeded("too late", may_have_run=may_have_run, tool="s_read")
    assert error.may_have_run is may_have_run
    assert error.tool == "s_read"


@pytest.mark.parametrize("kind", tree(CallError), ids=lambda kind: kind.__name__)
def test_a_code_is_the_classs_own_name(kind: Any) -> None:
    error = kind("no", may_have_run=True) if kind is DeadlineExceeded else kind("no")
    assert error.code == kind.__name__
    assert str(error) == "no"


def test_details_are_kept() -> None:
    error = ServerError("no", error_code=-32603, status=503, data={"a": 1}, retry_after=2.0, server="s", attempts=3)
    assert (error.error_code, error.status, error.data) == (-32603, 503, {"a": 1})
    assert (error.retry_after, error.server, error.attempts) == (2.0, "s", 3)
    assert InvalidArguments("no", problems=["a: missing"]).problems == ("a: missing",)
    assert ToolNotFound("no", suggestions=["s_read"]).suggestions == ("s_read",)


@pytest.mark.parametrize(
    ("status", "is_overload"), [(429, True), (503, True), (500, False), (403, False), (None, False)]
)
def test_overload_is_told_from_other_refusals(status: int | None, is_overload: bool) -> None:
    assert ServerError("no", status=status).is_overload is is_overload


def test_a_configurations_mistakes_are_all_told() -> None:
    error = ConfigError(["line 1: a", "line 2: b"], source="trunkline.toml")
    assert str(error) == "line 1: a\nline 2: b"
    assert error.problems == ("line 1: a", "line 2: b")
    assert error.source == "trunkline.toml"
    assert not isinstance(error, CallError)


@pytest.mark.parametrize("kind", [kind for kind in tree(CallError) if kind is not DeadlineExceeded])
def test_an_error_travels_to_another_process(kind: Any) -> None:
    error = kind("no", tool="s_read", server="s")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.tool, again.server, again.may_have_run) == ("no", "s_read", "s", error.may_have_run)
