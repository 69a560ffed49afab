"""Every error of ours has a code of its own outside the reserved range, and says what a program needs."""

from __future__ import annotations

import inspect

import pytest

from trunkline import errors
from trunkline.gateway.codes import CODES, code_of, data_of, message_of


def test_every_call_error_has_its_own_code_outside_the_reserved_range() -> None:
    classes = {found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, errors.CallError)}
    assert classes - {errors.InvalidArguments} == set(CODES)
    assert len(set(CODES.values())) == len(CODES)
    assert all(code > 0 for kind, code in CODES.items() if kind is not errors.ToolNotFound)


@pytest.mark.parametrize("kind", list(CODES))
def test_the_module_documents_each_code(kind: type[errors.CallError]) -> None:
    from trunkline.gateway import codes

    assert codes.__doc__ is not None
    assert f"{CODES[kind]}" in codes.__doc__
    assert kind.__name__ in codes.__doc__


def test_a_class_without_a_code_has_its_parents() -> None:
    class Stranger(errors.ConnectionLost):
        pass

    assert code_of(Stranger("gone")) == CODES[errors.ConnectionLost]


def test_the_data_says_whether_it_may_have_run_and_when_to_come_back() -> None:
    error = errors.CircuitOpen("open", tool="lab_echo", server="lab", retry_after=2.5, attempts=1)
    assert data_of(error) == {
        "error": "CircuitOpen",
        "may_have_run": False,
        "retry_after": 2.5,
        "server": "lab",
        "tool": "lab_echo",
        "attempts": 1,
    }
    assert data_of(errors.ConnectionLost("gone"))["may_have_run"] is True


def test_suggestions_stand_in_the_message_once() -> None:
    error = errors.ToolNotFound("no tool 'eco'; did you mean 'echo'?", suggestions=("echo", "ecru"))
    assert message_of(error) == "no tool 'eco'; did you mean 'echo'?; nearest names: ecru"
