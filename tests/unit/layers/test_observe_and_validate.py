"""What the two outermost layers of the stacks tell and refuse."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
import pytest

from tests.unit.layers.calls import Hanging, Scripted, a_call, answer
from trunkline.call import Call, Provenance
from trunkline.errors import AttemptTimeout, InvalidArguments
from trunkline.events import CallFinished, CallStarted, Event
from trunkline.layers.observe import ObserveLayer
from trunkline.layers.validate import ValidateLayer

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-3")]


def outcome_of(events: list[Event]) -> str:
    started, finished = events
    assert isinstance(started, CallStarted)
    assert isinstance(finished, CallFinished)
    assert (started.call_id, started.method, started.name, started.domain) == (
        finished.call_id,
        finished.method,
        finished.name,
        finished.domain,
    )
    return finished.outcome


@pytest.mark.parametrize(("is_error", "outcome"), [(False, "ok"), (True, "tool_error")])
async def test_an_answer_is_told_and_marked_with_where_it_came_from(is_error: bool, outcome: str) -> None:
    events: list[Event] = []
    call = a_call(replica="s-2")
    result: Any = await ObserveLayer(emit=events.append)(call, Scripted([answer(is_error=is_error)]))
    assert outcome_of(events) == outcome
    assert result.provenance == Provenance(server="s", replica="s-2", attempts=1)


@pytest.mark.parametrize(
    ("fields", "degraded"),
    [({"cached": "stale"}, True), ({"fallback": "other"}, True), ({"cached": "hit"}, False), ({}, False)],
)
async def test_a_substitute_or_stale_answer_is_marked_degraded(fields: dict[str, Any], degraded: bool) -> None:
    events: list[Event] = []
    result: Any = await ObserveLayer(emit=events.append)(a_call(**fields), Scripted())
    assert result.provenance.degraded is degraded
    assert result.provenance.fallback == fields.get("fallback")


async def test_a_result_that_is_no_tools_passes_unmarked() -> None:
    events: list[Event] = []
    page = types.ListPromptsResult(prompts=[])
    assert await ObserveLayer(emit=events.append)(a_call(method="prompts/list"), Scripted([page])) is page
    assert outcome_of(events) == "ok"


async def test_an_error_is_told_by_its_class_and_learns_how_many_attempts_there_were() -> None:
    events: list[Event] = []
    error = AttemptTimeout("too slow")
    with pytest.raises(AttemptTimeout) as raised:
        await ObserveLayer(emit=events.append)(a_call(attempts=2), Scripted([error]))
    assert raised.value is error
    assert error.attempts == 3
    assert outcome_of(events) == "AttemptTimeout"


async def test_a_cancelled_call_is_told_too() -> None:
    events: list[Event] = []
    with anyio.move_on_after(1.5):
        await ObserveLayer(emit=events.append)(a_call(), Hanging(sent=True))
    assert outcome_of(events) == "cancelled"
    finished = events[1]
    assert isinstance(finished, CallFinished)
    assert finished.duration == 1.5


async def test_arguments_that_fit_pass() -> None:
    service = Scripted()
    await ValidateLayer()(a_call(problems=lambda _arguments: ()), service)
    await ValidateLayer()(a_call(problems=None), service)
    assert service.attempts == 2


async def test_arguments_that_do_not_fit_cost_nothing_and_every_mistake_is_listed() -> None:
    service, given = Scripted(), {"n": "three"}

    def problems(arguments: dict[str, Any]) -> tuple[str, ...]:
        assert arguments is given
        return ("n: found text, expected a number", "m: missing")

    call: Call = a_call(arguments=given, problems=problems)
    with pytest.raises(InvalidArguments, match="found text, expected a number; m: missing") as raised:
        await ValidateLayer()(call, service)
    assert service.attempts == 0
    assert raised.value.problems == ("n: found text, expected a number", "m: missing")
    assert not raised.value.may_have_run
