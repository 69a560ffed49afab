"""Composition of layers, and a result that knows where it came from and is the same result on the wire."""

from __future__ import annotations

import copy
import pickle

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import Result

from trunkline.call import UNATTRIBUTED, Call, Layer, Provenance, Service, ToolResult, compose

pytestmark = pytest.mark.anyio


def a_call() -> Call:
    return Call("1", "tools/call", "s_read", {}, UNATTRIBUTED, 0.0, 1.0)


def a_result(words: str = "ok") -> ToolResult:
    return ToolResult(content=[types.TextContent(text=words)], structured_content={"n": 1})


def named(name: str, seen: list[str]) -> Layer:
    async def layer(call: Call, call_next: Service) -> Result:
        seen.append(f"{name} down")
        result = await call_next(call)
        seen.append(f"{name} up")
        return result

    return layer


async def test_the_first_layer_sees_the_call_first_and_its_outcome_last() -> None:
    seen: list[str] = []

    async def service(_call: Call) -> Result:
        seen.append("service")
        return a_result()

    await compose([named("a", seen), named("b", seen), named("c", seen)], service)(a_call())
    assert seen == ["a down", "b down", "c down", "service", "c up", "b up", "a up"]


async def test_no_layers_leave_the_service_as_it_is() -> None:
    async def service(_call: Call) -> Result:
        return a_result()

    assert compose([], service) is service


async def test_a_layer_may_answer_without_the_service() -> None:
    async def refuse(call: Call, call_next: Service) -> Result:
        return a_result("refused")

    async def service(_call: Call) -> Result:
        raise AssertionError

    assert await compose([refuse], service)(a_call()) == a_result("refused")


async def test_a_layer_may_call_the_rest_more_than_once() -> None:
    async def twice(call: Call, call_next: Service) -> Result:
        await call_next(call)
        return await call_next(call)

    seen: list[str] = []

    async def service(_call: Call) -> Result:
        return a_result()

    await compose([twice, named("below", seen)], service)(a_call())
    assert seen == ["below down", "below up"] * 2


async def test_one_stack_serves_many_calls_at_once_without_keeping_any() -> None:
    served: list[str] = []

    async def service(call: Call) -> Result:
        served.append(call.id)
        return a_result()

    stack = compose([named("a", [])], service)
    for _ in range(3):
        await stack(a_call())
    assert served == ["1"] * 3


@given(outer=st.lists(st.sampled_from("abc"), max_size=4), inner=st.lists(st.sampled_from("abc"), max_size=4))
async def test_composing_is_associative(outer: list[str], inner: list[str]) -> None:
    async def service(_call: Call) -> Result:
        return a_result()

    at_once: list[str] = []
    in_parts: list[str] = []
    await compose([named(name, at_once) for name in outer + inner], service)(a_call())
    lower = compose([named(name, in_parts) for name in inner], service)
    await compose([named(name, in_parts) for name in outer], lower)(a_call())
    assert at_once == in_parts


def test_two_calls_are_never_equal_however_alike() -> None:
    assert a_call() != a_call()


def test_a_tool_result_is_the_sdks_result() -> None:
    result = a_result().with_provenance(Provenance(server="s"))
    assert isinstance(result, types.CallToolResult)
    plain = types.CallToolResult(content=result.content, structured_content={"n": 1})
    assert result.model_dump(by_alias=True, mode="json") == plain.model_dump(by_alias=True, mode="json")
    assert types.CallToolResult.model_validate(result.model_dump()) == plain


def test_provenance_never_goes_over_the_wire() -> None:
    result = a_result().with_provenance(Provenance(server="secret-server", replica="r", fallback="f"))
    for written in (result.model_dump_json(by_alias=True), str(result.model_dump()), repr(result)):
        assert "secret-server" not in written
        assert "provenance" not in written
    assert "provenance" not in ToolResult.model_json_schema()["properties"]


def test_provenance_survives_copying() -> None:
    provenance = Provenance(server="s", attempts=2, degraded=True)
    result = a_result().with_provenance(provenance)
    for copied in (result.model_copy(), result.model_copy(update={"is_error": True}), copy.copy(result)):
        assert copied.provenance == provenance
    assert result.model_copy(deep=True).provenance == provenance
    assert pickle.loads(pickle.dumps(result)).provenance == provenance


def test_a_result_that_no_client_made_has_an_empty_provenance_of_its_own() -> None:
    one, two = a_result(), a_result()
    one.with_provenance(Provenance(server="s"))
    assert two.provenance == Provenance()


def test_marking_a_result_changes_it_in_place() -> None:
    result = a_result()
    assert result.with_provenance(Provenance(attempts=1)) is result
    assert result.provenance.attempts == 1


def test_provenance_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Provenance().attempts = 3  # type: ignore[misc]
