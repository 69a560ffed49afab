"""Which requests are answered directly: calls of tools in the stateless era that nothing is wrong with, no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from starlette.types import Message, Receive, Scope, Send

from trunkline.afterwards import afterwards
from trunkline.gateway.admission import Admission
from trunkline.gateway.direct_calls import DirectCalls
from trunkline.gateway.principals import ANYBODY
from trunkline.gateway.sessions import DirectSessions

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
PARAMS = {"name": "echo", "arguments": {"text": "hello"}, "_meta": META}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": PARAMS}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "echo",
}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}


def server() -> Server[None]:
    async def call(_ctx: ServerRequestContext[None, Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        text = (params.arguments or {}).get("text", "nothing")
        if text == "refuse":
            raise MCPError(types.INVALID_PARAMS, "no", {"why": 1})
        if text == "break":
            raise RuntimeError("a secret of the server's")
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    made: Server[None] = Server("lab", on_call_tool=call, get_tool_input_schema={"marked": SCHEMA}.get)
    made.middleware[:] = []
    return made


async def post(body: object, headers: Mapping[str, str] | list[tuple[str, str]], method: str = "POST") -> list[Message]:
    """What is sent to the client; nothing where the request is handed on, in one piece."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Message] = []
    handed_on: list[Message] = []

    async def receive() -> Message:
        return told.pop()

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message)

    async def sdk(_scope: Scope, receive: Receive, _send: Send) -> None:
        handed_on.append(await receive())

    items = headers.items() if isinstance(headers, Mapping) else headers
    raw = [(name.encode(), value.encode()) for name, value in items]
    scope: Scope = {"type": "http", "method": method, "path": "/mcp", "headers": raw}
    ANYBODY.enter(scope)
    await DirectCalls(Admission(sdk), server(), DirectSessions(sessions=1, idle=60))(scope, receive, send)
    assert handed_on == ([] if sent else [{"type": "http.request", "body": content, "more_body": False}])
    return sent


def answer_in(sent: list[Message]) -> Any:
    return json.loads(b"".join(message["body"] for message in sent[1:]))


async def test_a_call_is_answered() -> None:
    sent = await post(CALL, HEADERS)

    assert sent[0]["status"] == 200
    answer = answer_in(sent)
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    assert answer["result"]["content"] == [{"type": "text", "text": "hello"}]
    assert answer["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("refuse", 400, {"code": types.INVALID_PARAMS, "message": "no", "data": {"why": 1}}),
        ("break", 200, {"code": types.INTERNAL_ERROR, "message": "Internal server error"}),
    ],
)
async def test_a_call_that_fails_is_answered_with_an_error(text: str, status: int, error: Mapping[str, Any]) -> None:
    sent = await post({**CALL, "params": {**PARAMS, "arguments": {"text": text}}}, HEADERS)

    assert (sent[0]["status"], answer_in(sent)) == (status, {"jsonrpc": "2.0", "id": 7, "error": error})


async def test_a_call_whose_headers_say_what_its_arguments_do_is_answered() -> None:
    call = {**CALL, "params": {**PARAMS, "name": "marked"}}
    sent = await post(call, {**HEADERS, "mcp-name": "marked", "mcp-param-text": "hello"})

    assert answer_in(sent)["result"]["content"] == [{"type": "text", "text": "hello"}]


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in HEADERS.items() if key != name}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(CALL).encode().replace(b": 7", b': "\\ud800"'), HEADERS),
        (CALL, without("mcp-protocol-version")),
        (CALL, {**HEADERS, "mcp-protocol-version": "2025-11-25"}),
        (CALL, {**HEADERS, "mcp-protocol-version": "2099-01-01"}),
        (CALL, {**HEADERS, "accept": "application/json"}),
        (CALL, {**HEADERS, "mcp-method": "tools/list"}),
        (CALL, {**HEADERS, "mcp-name": "other"}),
        (CALL, without("mcp-name")),
        (CALL, [*HEADERS.items(), ("mcp-name", "echo")]),
        (CALL, [*HEADERS.items(), ("mcp-name", "other")]),
        ({**CALL, "params": {**PARAMS, "name": "marked"}}, {**HEADERS, "mcp-name": "marked", "mcp-param-text": "no"}),
        ({**CALL, "params": {**PARAMS, "_meta": {}}}, HEADERS),
        ({**CALL, "params": {**PARAMS, "arguments": ["hello"]}}, HEADERS),
        ({**CALL, "params": {**PARAMS, "name": 3}}, HEADERS),
        ({**CALL, "params": None}, HEADERS),
        ({**CALL, "id": None}, HEADERS),
        ({**CALL, "id": True}, HEADERS),
        ({**CALL, "jsonrpc": "1.0"}, HEADERS),
        ({**CALL, "method": "tools/list"}, {**HEADERS, "mcp-method": "tools/list"}),
        ([CALL], HEADERS),
        ({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}, HEADERS),
        (b"{garbage", HEADERS),
        (b"[" * 100_000, HEADERS),
    ],
    ids=[
        "half a letter for an id",
        *("no era", "the era before", "an era to come", "no streams", "another method", "another name", "no name"),
        *("a name twice", "two names", "an argument that differs", "no envelope", "a list", "a number for a name"),
        *("no params", "no id", "a truth for an id", "JSON-RPC 1", "a listing", "a batch", "a notification"),
        *("garbage", "a deep nest"),
    ],
)
async def test_everything_else_is_handed_on_as_it_came(
    body: object, headers: Mapping[str, str] | list[tuple[str, str]]
) -> None:
    assert await post(body, headers) == []


async def test_a_stream_is_handed_on() -> None:
    assert await post(b"", HEADERS, method="GET") == []


async def test_what_is_noted_afterwards_waits_for_the_answer() -> None:
    order: list[str] = []

    async def call(_ctx: ServerRequestContext[None, Any], _params: types.CallToolRequestParams) -> types.CallToolResult:
        afterwards(lambda: order.append("noted"))
        return types.CallToolResult(content=[])

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(CALL).encode(), "more_body": False}

    async def send(message: Message) -> None:
        order.append(message["type"])

    async def sdk(*_: Any) -> None:
        raise AssertionError

    raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": raw}
    ANYBODY.enter(scope)
    server: Server[None] = Server("lab", on_call_tool=call)
    await DirectCalls(Admission(sdk), server, DirectSessions(sessions=1, idle=60))(scope, receive, send)
    assert order == ["http.response.start", "http.response.body", "noted"]


async def test_a_gateway_that_ends_takes_no_call_and_says_of_those_under_way_that_they_may_have_run() -> None:
    begun = anyio.Event()

    async def call(_ctx: ServerRequestContext[None, Any], _params: types.CallToolRequestParams) -> types.CallToolResult:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def sdk(*_: Any) -> None:
        raise AssertionError

    server: Server[None] = Server("lab", on_call_tool=call)
    admission = Admission(sdk)
    calls = DirectCalls(admission, server, DirectSessions(sessions=1, idle=60))
    raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    answers: list[list[Message]] = []

    async def ask() -> None:
        scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": raw}
        ANYBODY.enter(scope)
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps(CALL).encode(), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await calls(scope, receive, send)
        answers.append(sent)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await begun.wait()
            assert admission.under_way == 1
            admission.close()
            await ask()
            admission.break_off()
    assert [sent[0]["status"] for sent in answers] == [503, 500]
    assert [answer_in(sent)["error"]["data"]["may_have_run"] for sent in answers] == [False, True]
    assert admission.under_way == 0
