"""A server of the SDK in this process that asks for a name before it answers, and people who can be asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from trunkline.endpoint import InProcessEndpoint

FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
QUESTION = types.ElicitRequest(params=types.ElicitRequestFormParams(message="Who?", requested_schema=FORM))


class Person:
    """A peer with a name, who takes some time to enter it."""

    def __init__(
        self, name: str, *, takes: float = 0.0, key: str | None = "", level: types.LoggingLevel | None = None
    ) -> None:
        self.name = name
        self.takes = takes
        self.key = name if key == "" else key
        self.capabilities: Mapping[str, Any] = {"elicitation": {"form": {}}}
        self.log_level = level
        self.asked = 0
        self.heard: list[object] = []

    def __repr__(self) -> str:
        return f"<Person {self.name} [asked {self.asked} times]>"

    async def ask(self, request: types.InputRequest) -> types.InputResponse:
        """Answer with the name, unless that is `nobody`."""
        assert isinstance(request, types.ElicitRequest)
        self.asked += 1
        await anyio.sleep(self.takes)
        if self.name == "nobody":
            raise MCPError(types.INVALID_REQUEST, "nobody is there")
        return types.ElicitResult(action="accept", content={"name": self.name})

    async def log(self, entry: types.LoggingMessageNotificationParams) -> None:
        """Hear what a server logs."""
        self.heard.append(entry.data)


class Curious:
    """A server with one tool, `ask`, that wants to know a name; `then` is what it does next."""

    def __init__(self, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.calls = 0
        """How often it was called."""
        self.levels: list[str] = []
        self.capabilities: list[types.ClientCapabilities | None] = []
        self._then = then
        self.server: Server[dict[str, object]] = Server(
            "curious", on_list_tools=self._list_tools, on_call_tool=self._call_tool
        )
        self.server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self._set_level)

    @property
    def endpoint(self) -> InProcessEndpoint:
        """Where it is."""
        return InProcessEndpoint(self.server)

    async def _list_tools(self, _ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="ask", input_schema={"type": "object"})])

    async def _set_level(self, _ctx: ServerRequestContext, params: types.SetLevelRequestParams) -> types.EmptyResult:
        self.levels.append(params.level)
        return types.EmptyResult()

    async def _call_tool(
        self, ctx: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        self.calls += 1
        self.capabilities.append(ctx.session.client_capabilities)
        if ctx.session.can_send_request or types.LOG_LEVEL_META_KEY in (ctx.meta or {}):
            entry = types.LoggingMessageNotificationParams(level="warning", data=f"call {self.calls}")
            await ctx.session.send_notification(types.LoggingMessageNotification(params=entry), ctx.request_id)
        if ctx.session.can_send_request:
            found = await ctx.session.elicit_form("Who?", FORM, ctx.request_id)
        elif params.input_responses is None:
            return types.InputRequiredResult(input_requests={"who": QUESTION}, request_state="asked")
        else:
            assert params.request_state == "asked"
            answer = params.input_responses["who"]
            assert isinstance(answer, types.ElicitResult)
            found = answer
        if self._then is not None:
            await self._then()
        words = types.TextContent(type="text", text=str((found.content or {}).get("name")))
        return types.CallToolResult(content=[words])
