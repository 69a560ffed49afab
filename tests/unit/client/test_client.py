"""The client's own half: it stands where the SDK's client stood, and finds the right server for everything."""

from __future__ import annotations

import inspect
import random

import mcp
import mcp_types as types
import pytest

from tests.interaction.test_observing import full_server
from tests.interaction.worlds import error_of
from trunkline import EnhancedMCPClient, InProcessEndpoint, ServerPolicy, ServerSettings, ToolNotFound, ToolPolicy
from trunkline.bus import EventBus
from trunkline.errors import InvalidArguments
from trunkline.events import CircuitChanged, ConnectFailed, ConnectionEnded, ConnectionOpened, Event
from trunkline.registry.availability_fold import AvailabilityFold
from trunkline.registry.tool_registry import ToolRegistry
from trunkline.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.anyio


def client_of(**servers: ScriptedServer) -> EnhancedMCPClient:
    return EnhancedMCPClient(
        {name: InProcessEndpoint(server) for name, server in servers.items()}, rng=random.Random(1)
    )


@pytest.mark.requirement("SEED-MCP-1")
@pytest.mark.parametrize(
    "name",
    [
        "call_tool",
        "list_tools",
        "list_resources",
        "list_resource_templates",
        "read_resource",
        "list_prompts",
        "get_prompt",
        "complete",
    ],
)
def test_code_written_for_the_sdks_client_takes_ours(name: str) -> None:
    theirs = list(inspect.signature(getattr(mcp.Client, name)).parameters.values())
    ours = inspect.signature(getattr(EnhancedMCPClient, name)).parameters
    leading = [parameter.name for parameter in theirs if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert list(ours)[: len(leading)] == leading
    assert all(parameter.default is not parameter.empty for parameter in list(ours.values())[len(leading) :]), (
        "what the SDK's client does not know may not be required"
    )


@pytest.mark.requirement("SEED-CLIENT-1")
async def test_tools_of_all_servers_are_listed_under_their_full_names() -> None:
    async with client_of(a=ScriptedServer(), b=ScriptedServer()) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["a_read", "a_write", "b_read", "b_write"]


async def test_a_bare_name_is_found_while_it_is_unique() -> None:
    async with client_of(a=ScriptedServer()) as client:
        assert (await client.call_tool("read")).provenance.server == "a"
    async with client_of(a=ScriptedServer(), b=ScriptedServer()) as client:
        await client.list_tools()
        error = await error_of(client.call_tool("read"), ToolNotFound)
        assert {"a_read", "b_read"} <= set(error.suggestions)


@pytest.mark.requirement("SEED-CLIENT-3")
async def test_arguments_are_checked_before_anything_is_sent() -> None:
    server = ScriptedServer()
    async with client_of(a=server) as client:
        error = await error_of(client.call_tool("a_read", {"n": "three"}), InvalidArguments)
        assert len(error.problems) == 1
        assert "n" in error.problems[0]
        assert server.executed == []


async def test_the_callers_own_arguments_are_not_changed_or_kept() -> None:
    given = {"n": 1}
    async with client_of(a=ScriptedServer()) as client:
        await client.call_tool("a_read", given)
    assert given == {"n": 1}


async def test_prompts_resources_and_completions_reach_the_server_that_has_them() -> None:
    async with client_of(plain=ScriptedServer(), full=full_server()) as client:
        await client.list_tools()
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["full_greet"]
        assert [str(found.uri) for found in (await client.list_resources()).resources] == ["memo://one"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [found.uri_template for found in templates] == ["memo://{name}"]
        read = (await client.read_resource("memo://another")).contents[0]
        assert isinstance(read, types.TextResourceContents)
        assert read.text == "memo"
        assert len((await client.get_prompt("full_greet")).messages) == 1
        reference = types.ResourceTemplateReference(uri="memo://{name}")
        found = await client.complete(reference, {"name": "name", "value": ""})
        assert found.completion.values == ["world"]


async def test_what_no_server_has_is_not_found_by_name() -> None:
    async with client_of(full=full_server()) as client:
        assert (await error_of(client.get_prompt("full_greeet"), ToolNotFound)).tool == "full_greeet"
        assert (await error_of(client.read_resource("other://x"), ToolNotFound)).tool == "other://x"


async def test_a_client_bound_to_a_domain_is_the_same_client() -> None:
    async with client_of(a=ScriptedServer()) as client:
        bound = client.for_domain("speech")
        assert type(bound) is type(client)
        assert bound.fleet is client.fleet
        assert bound.registry is client.registry
        assert bound.for_domain("chat") is not bound
        assert not (await bound.call_tool("a_read")).is_error


async def test_results_say_where_they_came_from() -> None:
    async with client_of(a=ScriptedServer()) as client:
        provenance = (await client.call_tool("a_read")).provenance
        assert (provenance.server, provenance.attempts, provenance.fallback) == ("a", 1, None)
        assert not provenance.degraded


@pytest.mark.parametrize("trusted", [True, False])
async def test_annotations_are_believed_of_trusted_servers_only(trusted: bool) -> None:
    policy = ServerPolicy(trust_annotations=trusted)
    settings = ServerSettings("a", InProcessEndpoint(ScriptedServer()), policy)
    async with EnhancedMCPClient([settings]) as client:
        assert client.registry.resolve("a_read").repeatable is trusted
        assert client.registry.resolve("a_write").repeatable is False


async def test_the_configurations_word_beats_the_annotations() -> None:
    settings = ServerSettings("a", InProcessEndpoint(ScriptedServer()), ServerPolicy(trust_annotations=True))
    tools = {"a_read": ToolPolicy(idempotent=False), "a_write": ToolPolicy(idempotent=True)}
    async with EnhancedMCPClient([settings], tools=tools) as client:
        assert client.registry.resolve("a_read").repeatable is False
        assert client.registry.resolve("a_write").repeatable is True


OPENED = ConnectionOpened(1.0, "s", None, "2026-07-28", 0.1)


@pytest.mark.requirement("SEED-MCP-2", "SEED-CLIENT-1")
@pytest.mark.parametrize(
    ("event", "state", "reason"),
    [
        (OPENED, "available", "connected"),
        (ConnectionEnded(2.0, "s", None, "the process ended", 1, 0), "unavailable", "the process ended"),
        (ConnectionEnded(2.0, "s", None, "one of two", 1, 1), "available", "connected"),
        (ConnectFailed(2.0, "s", None, "nothing listens", 1, 0.1, 0), "unavailable", "nothing listens"),
        (ConnectFailed(2.0, "s", None, "one of two", 1, 0.1, 1), "available", "connected"),
        (CircuitChanged(2.0, "s", None, "closed", "open", "5 in a row"), "unavailable", "circuit open: 5 in a row"),
        (CircuitChanged(2.0, "s", None, "open", "half_open", "time over"), "degraded", "circuit half open"),
        (CircuitChanged(2.0, "s", None, "half_open", "closed", "2 proofs"), "available", "2 proofs"),
    ],
)
def test_a_tools_availability_follows_its_servers_connection_and_circuit(event: Event, state: str, reason: str) -> None:
    registry = ToolRegistry()
    registry.add_server("s", ServerPolicy())
    registry.update("s", [types.Tool(name="read", input_schema={"type": "object"})], 0.0)
    bus = EventBus([AvailabilityFold(registry, lambda _server: [None])])
    bus.emit(OPENED)
    bus.emit(event)
    found = registry.availability("s_read")
    assert (found.state, found.reason) == (state, reason)
    assert registry.is_available("s_read") is (state != "unavailable")
