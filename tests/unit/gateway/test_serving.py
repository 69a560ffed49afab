"""What the gateway tells of the requests it answers."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from tests.servers.watching import Record
from tests.unit.gateway.laboratory import infrastructure
from trunkline.events import RequestServed
from trunkline.gateway.serving import told

pytestmark = pytest.mark.anyio


class Unknown(Exception):
    pass


def answer(result: HandlerResult | Exception) -> CallNext:
    async def call_next(_ctx: ServerRequestContext) -> HandlerResult:
        if isinstance(result, Exception):
            raise result
        return result

    return call_next


def asked(method: str, name: str | None = None, request_id: int | None = 1) -> ServerRequestContext:
    params = None if name is None else {"name": name}
    session: Any = None
    return ServerRequestContext(
        session=session,
        lifespan_context={},
        protocol_version="2026-07-28",
        method=method,
        params=params,
        request_id=request_id,
    )


@pytest.mark.requirement("E6")
@pytest.mark.parametrize(
    ("result", "outcome", "code"),
    [
        (types.CallToolResult(content=[]), "ok", None),
        (types.CallToolResult(content=[], is_error=True), "tool_error", None),
        (MCPError(31012, "no answer in time"), "error", 31012),
        (MCPError(-32603, "broken"), "error", -32603),
        (MCPError(-32602, "no such tool"), "ok", -32602),
        (Unknown(), "error", -32603),
    ],
)
async def test_a_request_is_told_with_its_outcome_and_code(
    result: HandlerResult | Exception, outcome: str, code: int | None
) -> None:
    async with infrastructure("lab") as infra:
        await infra.mcp_client.list_tools()
        record = Record()
        tell = told(record, infra.registry)
        try:
            assert await tell(asked("tools/call", "lab_echo"), answer(result)) is result
        except (MCPError, Unknown) as error:
            assert error is result
    (event,) = record.of(RequestServed)
    assert (event.method, event.name, event.outcome, event.error_code) == ("tools/call", "lab_echo", outcome, code)
    assert event.transport == "pipe"
    assert event.duration >= 0


@pytest.mark.requirement("E6")
async def test_nothing_a_caller_made_up_becomes_a_label() -> None:
    async with infrastructure("lab") as infra:
        record = Record()
        tell = told(record, infra.registry)
        await tell(asked("made/up", "x"), answer({}))
        await tell(asked("tools/call", "made up"), answer({}))
        await tell(asked("notifications/made-up", request_id=None), answer(None))
        await tell(asked("subscriptions/listen"), answer({}))
    assert [(event.method, event.name) for event in record.of(RequestServed)] == [("_unknown", ""), ("tools/call", "")]
