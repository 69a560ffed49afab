"""A client of the handshake era before a server of the stateless one: the gateway asks it between the rounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from trunkline import Infrastructure, InProcessEndpoint, ServerPolicy, ServerSettings
from trunkline.config import Settings
from trunkline.gateway.server import build_server
from trunkline.policy import GatewaySettings

pytestmark = pytest.mark.anyio

SURE = types.ElicitRequest(
    params=types.ElicitRequestFormParams(message="Sure?", requested_schema={"type": "object", "properties": {}})
)
ROOTS = types.ListRootsRequest(params=types.RequestParams())
YES = types.ElicitResult(action="accept", content={})


class Asking:
    """A server with one tool, `ask`, that has these questions in its rounds, and then an answer."""

    def __init__(self, *rounds: dict[str, types.InputRequest], for_ever: bool = False) -> None:
        self.calls: list[tuple[list[str], str | None]] = []
        self._rounds = rounds
        self._for_ever = for_ever
        self.server: Server[dict[str, object]] = Server(
            "asking", on_list_tools=self._list_tools, on_call_tool=self._call_tool
        )

    async def _list_tools(self, _ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="ask", input_schema={"type": "object"})])

    async def _call_tool(
        self, _ctx: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        self.calls.append((sorted(params.input_responses or {}), params.request_state))
        made = 0 if self._for_ever else len(self.calls) - 1
        if made < len(self._rounds):
            return types.InputRequiredResult(input_requests=self._rounds[made], request_state=f"round {made}")
        return types.CallToolResult(content=[types.TextContent(type="text", text="done")])


@asynccontextmanager
async def calling(server: Asking, answer: Any, *, patience: float = 10.0) -> AsyncIterator[Client]:
    """A client that answers questions by `answer`, and can do nothing else."""
    settings = ServerSettings("lab", InProcessEndpoint(server.server), ServerPolicy(era="2026-07-28"))
    gateway = GatewaySettings(answer_timeout=patience)
    async with (
        Infrastructure(Settings("laboratory", {"lab": settings}, {}, gateway=gateway)) as infra,
        Client(build_server(infra), mode="legacy", elicitation_callback=answer) as client,
    ):
        yield client


async def accept(_context: ClientRequestContext, _params: types.ElicitRequestParams) -> types.ElicitResult:
    return YES


async def error_of(client: Client) -> MCPError:
    try:
        result = await client.call_tool("lab_ask", {})
    except MCPError as error:
        return error
    raise AssertionError(f"answered: {result!r}")


async def test_each_round_brings_the_answers_and_the_state_of_the_one_before() -> None:
    server = Asking({"a": SURE, "b": SURE}, {}, {"c": SURE})
    async with calling(server, accept) as client:
        assert not (await client.call_tool("lab_ask", {})).is_error
    assert server.calls == [([], None), (["a", "b"], "round 0"), ([], "round 1"), (["c"], "round 2")]


async def test_a_server_that_asks_for_ever_is_given_up() -> None:
    server = Asking({"a": SURE}, for_ever=True)
    async with calling(server, accept) as client:
        assert "still asks for input after 10 rounds" in (await error_of(client)).message
    assert len(server.calls) == 10


async def test_nobody_is_asked_anything_where_the_client_cannot_do_all_of_it() -> None:
    asked: list[str] = []

    async def note(_context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return YES

    server = Asking({"a": SURE, "b": ROOTS})
    async with calling(server, note) as client:
        assert (await error_of(client)).message == "the client does not support roots"
    assert (len(server.calls), asked) == (1, [])


async def test_a_refusal_is_told_as_the_client_said_it() -> None:
    async def refuse(_context: ClientRequestContext, _params: types.ElicitRequestParams) -> types.ErrorData:
        return types.ErrorData(code=-1, message="not while I eat", data={"until": "one"})

    async with calling(Asking({"a": SURE}), refuse) as client:
        told = (await error_of(client)).error
    assert (told.code, told.message, told.data) == (-1, "not while I eat", {"until": "one"})


async def test_who_does_not_answer_in_time_is_not_waited_for() -> None:
    async def sleep(_context: ClientRequestContext, _params: types.ElicitRequestParams) -> types.ElicitResult:
        await anyio.sleep_forever()
        return YES

    with anyio.fail_after(10):
        async with calling(Asking({"a": SURE}), sleep, patience=0.05) as client:
            assert (await error_of(client)).message == "nobody answered within 0.05 s"
