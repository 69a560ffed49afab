"""What the gateway's MCP server answers, over in-process servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import PromptsListChanged, ToolsListChanged
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from tests.unit.gateway.laboratory import infrastructure, tool
from trunkline.gateway import announcements
from trunkline.gateway.server import build_server
from trunkline.policy import CachePolicy, ToolPolicy

pytestmark = pytest.mark.anyio

ERAS = ("legacy", "2026-07-28")


def said(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


@pytest.mark.parametrize("era", ERAS)
async def test_a_servers_wish_that_its_user_visits_an_address_reaches_the_client_as_it_is(era: str) -> None:
    visit = {
        "elicitations": [{"mode": "url", "message": "Sign in", "url": "https://id.example/", "elicitationId": "1"}]
    }

    async def list_tools(_ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool("visit")])

    async def call_tool(_ctx: ServerRequestContext, _params: object) -> types.CallToolResult:
        raise MCPError(types.URL_ELICITATION_REQUIRED, "sign in first", visit)

    def make_server() -> Server[dict[str, object]]:
        return Server("upstream", on_list_tools=list_tools, on_call_tool=call_tool)

    async with (
        infrastructure("lab", make_server=make_server) as infra,
        Client(build_server(infra), mode=era) as client,
    ):
        with pytest.raises(MCPError) as caught:
            await client.call_tool("lab_visit", {"text": "x"})
    assert (caught.value.error.code, caught.value.error.data) == (types.URL_ELICITATION_REQUIRED, visit)


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_of_the_callers_meta_goes_upstream(era: str) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode=era) as client:
        traced: Any = {"traceparent": "00-1-2-01", "secret": "abc", "trunkline/domain": "speech"}
        assert said(await client.call_tool("lab_echo", {"text": "hello"}, meta=traced)) == "hello []"


@pytest.mark.parametrize(
    ("wanted", "domain"),
    [
        ("speech", "speech"),
        (None, "gateway"),
        (7, "gateway"),
        ("x" * 65, "gateway"),
        ("a b", "gateway"),
        ("", "gateway"),
    ],
)
async def test_a_call_is_recorded_under_the_domain_it_names_if_that_is_a_plain_short_word(
    wanted: object, domain: str
) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        meta: Any = {"trunkline/domain": wanted}
        await client.call_tool("lab_echo", {"text": "hello"}, meta=meta)
        assert infra.metrics.domains() == (domain,)


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_says_how_a_kept_answer_may_be_used(era: str) -> None:
    tools = {"lab_echo": ToolPolicy(cache=CachePolicy(ttl=60))}
    async with infrastructure("lab", tools=tools) as infra, Client(build_server(infra), mode=era) as client:

        async def outcome(meta: Any) -> tuple[str, int]:
            result = await client.call_tool("lab_echo", {"text": "hello"}, meta=meta)
            assert result.meta is not None
            provenance = result.meta["trunkline/provenance"]
            return provenance["cache"], provenance["attempts"]

        assert await outcome(None) == ("miss", 1)
        assert await outcome({"trunkline/cache": "use"}) == ("hit", 0)
        assert (await outcome({"trunkline/cache": "refresh"}))[1] == 1
        assert await outcome({"trunkline/cache": "bypass"}) == ("bypass", 1)


@pytest.mark.parametrize("wanted", ["skip", "", 7, ["use"]])
async def test_a_cache_mode_that_does_not_exist_is_refused_not_passed_over(wanted: object) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        meta: Any = {"trunkline/cache": wanted}
        with pytest.raises(MCPError, match="expected one of use, refresh, bypass") as refused:
            await client.call_tool("lab_echo", {"text": "hello"}, meta=meta)
    assert refused.value.error.code == types.INVALID_PARAMS


@pytest.mark.parametrize("era", ERAS)
async def test_the_answer_names_the_gateway_as_its_server_and_carries_its_provenance(era: str) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode=era) as client:
        result = await client.call_tool("lab_echo", {"text": "hello"})
    assert result.meta is not None
    assert result.meta["trunkline/provenance"]["server"] == "lab"
    assert result.meta.get(types.SERVER_INFO_META_KEY, {"name": "trunkline"})["name"] == "trunkline"


async def test_arguments_that_do_not_fit_are_a_result_with_one_line_for_each_mistake() -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        result = await client.call_tool("lab_echo", {"txt": 1})
    assert result.is_error
    assert said(result).splitlines()[0] == "The arguments of lab_echo do not fit, and it was not called:"
    assert "arguments.text" in said(result).splitlines()[1]


async def test_a_resource_and_a_prompt_nobody_has_are_errors_of_the_protocol() -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        requests: list[Callable[[], Awaitable[object]]] = [
            lambda: client.read_resource("lab://none"),
            lambda: client.get_prompt("none"),
        ]
        for ask in requests:
            with pytest.raises(MCPError) as error:
                await ask()
            assert error.value.error.code == -32602


async def test_a_bug_of_ours_shows_the_caller_none_of_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        infra.registry.definitions = None  # type: ignore[method-assign, assignment]
        with pytest.raises(MCPError) as error:
            await client.list_tools()
    assert error.value.error.code == types.INTERNAL_ERROR
    assert error.value.error.message == "internal error in the gateway; its log says more"
    assert "request_failed" in caplog.messages


async def test_a_handshake_client_hears_of_changed_tools() -> None:
    heard = anyio.Event()

    async def listen(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            heard.set()

    async with (
        infrastructure("lab") as infra,
        Client(build_server(infra), mode="legacy", message_handler=listen) as client,
    ):
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed
        infra.registry.update("lab", [tool("echo"), tool("more")], anyio.current_time())
        with anyio.fail_after(5):
            await heard.wait()
        assert [found.name for found in (await client.list_tools()).tools] == ["lab_echo", "lab_more"]


async def test_streams_beyond_the_limit_are_refused_and_the_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_STREAMS", 2)
    async with (
        infrastructure("lab") as infra,
        Client(build_server(infra), mode="2026-07-28") as client,
        client.listen(tools_list_changed=True),
    ):
        async with client.listen(tools_list_changed=True):
            with pytest.raises(MCPError, match="limit"):
                await client.listen(tools_list_changed=True).__aenter__()
        with anyio.fail_after(5):
            while not await is_let_in(client):  # noqa: ASYNC110 - nobody tells when there is room again
                await anyio.sleep(0.01)


async def is_let_in(client: Client) -> bool:
    try:
        async with client.listen(tools_list_changed=True):
            return True
    except MCPError:
        return False


async def test_a_stateless_client_that_listens_hears_of_what_it_asked_for_and_of_nothing_else() -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        with anyio.fail_after(5):
            async with client.listen(tools_list_changed=True) as stream:
                infra.registry.mark("lab", "unavailable", "gone", anyio.current_time())
                infra.registry.update("lab", [tool("echo"), tool("more")], anyio.current_time())
                async for event in stream:
                    assert isinstance(event, ToolsListChanged)
                    break


async def test_a_server_that_goes_changes_the_listing_of_prompts() -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode="2026-07-28") as client:
        with anyio.fail_after(5):
            async with client.listen(prompts_list_changed=True) as stream:
                infra.registry.mark("lab", "unavailable", "gone", anyio.current_time())
                async for event in stream:
                    assert isinstance(event, PromptsListChanged)
                    break


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_updates_of_single_resources_and_of_all_listings_are_promised(era: str) -> None:
    async with infrastructure("lab") as infra, Client(build_server(infra), mode=era) as client:
        able = client.server_capabilities
        assert able.resources == types.ResourcesCapability(subscribe=True, list_changed=True)
        assert able.tools == types.ToolsCapability(list_changed=True)
        assert able.prompts == types.PromptsCapability(list_changed=True)
        assert able.logging == types.LoggingCapability()


async def test_a_tool_that_marks_arguments_is_held_to_its_headers_and_others_are_not_read_for_it() -> None:
    marked = tool("marked")
    marked.input_schema["properties"]["text"]["x-mcp-header"] = "Text"

    async def list_tools(_ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[marked, tool("plain")])

    def make_server() -> Server[dict[str, object]]:
        return Server("upstream", on_list_tools=list_tools)

    async with infrastructure("lab", make_server=make_server) as infra:
        await infra.mcp_client.list_tools()
        lookup = build_server(infra).get_tool_input_schema
        assert lookup is not None
        assert lookup("lab_marked") == marked.input_schema
        assert lookup("lab_plain") is None
        assert lookup("lab_unknown") is None
