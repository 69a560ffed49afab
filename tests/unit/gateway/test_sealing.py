"""The state of a round is its caller's own: nobody else comes back with it, though to the server all are one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from tests.unit.gateway.laboratory import infrastructure, web
from tests.unit.gateway.test_authentication import calling, settings
from trunkline.gateway.app import build_app
from trunkline.policy import GatewaySettings

pytestmark = pytest.mark.anyio

ANSWERS: types.InputResponses = {"sure": types.ElicitResult(action="accept", content={})}
REFUSED = "Invalid or expired requestState"


def asking_server() -> Server[dict[str, object]]:
    """A server with the tool `ask`, which answers with the state that it gave with its question."""

    async def list_tools(_ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="ask", input_schema={"type": "object"})])

    async def call_tool(
        _ctx: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if params.request_state is None:
            form = types.ElicitRequestFormParams(message="Sure?", requested_schema={"type": "object", "properties": {}})
            return types.InputRequiredResult(
                input_requests={"sure": types.ElicitRequest(params=form)}, request_state="paid by alice"
            )
        return types.CallToolResult(content=[types.TextContent(type="text", text=params.request_state)])

    return Server("asking", on_list_tools=list_tools, on_call_tool=call_tool)


@asynccontextmanager
async def gateway(of: GatewaySettings) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        infrastructure("lab", settings=of, make_server=asking_server) as infra,
        web(build_app(infra, "127.0.0.1", 8700)) as client,
    ):
        yield client


async def asked(client: httpx2.AsyncClient, name: str) -> str:
    """The state that a caller is given with the server's question."""
    async with calling(client, name) as caller:
        found = await caller.session.call_tool("lab_ask", {}, allow_input_required=True)
    assert isinstance(found, types.InputRequiredResult)
    assert found.request_state is not None
    return found.request_state


async def answered(client: httpx2.AsyncClient, name: str, state: str) -> str:
    """What the server answers in the next round, or the words it is refused with."""
    async with calling(client, name) as caller:
        try:
            found = await caller.session.call_tool("lab_ask", {}, input_responses=ANSWERS, request_state=state)
        except MCPError as error:  # within the client, whose task groups would wrap it
            return error.message
    (content,) = found.content
    assert isinstance(content, types.TextContent)
    return content.text


async def test_the_state_of_a_round_is_accepted_from_whom_it_was_given_to_alone() -> None:
    async with gateway(settings(alice={}, bob={})) as client:
        state = await asked(client, "alice")
        assert "alice" not in state
        assert await answered(client, "alice", state) == "paid by alice"
        for name, claimed in (("bob", state), ("bob", "paid by alice"), ("alice", f"{state}x")):
            assert await answered(client, name, claimed) == REFUSED


@pytest.mark.parametrize(
    ("names", "is_shared"), [(("alice", "bob"), True), (("alice",), False)], ids=["several tokens", "one token"]
)
async def test_a_round_may_go_on_in_another_process_where_no_caller_could_make_its_seal(
    names: tuple[str, ...], is_shared: bool
) -> None:
    of = settings(**{name: {} for name in names})
    async with gateway(of) as first, gateway(of) as second:
        state = await asked(first, "alice")
        # Of one hash alone no key is made: who has the token knows it.
        assert await answered(second, "alice", state) == ("paid by alice" if is_shared else REFUSED)


async def test_where_nobody_has_a_name_the_state_is_left_as_it_is() -> None:
    async with gateway(GatewaySettings()) as client:
        assert await asked(client, "anybody") == "paid by alice"
