"""What servers offer and which era they speak, found out from real servers and kept up to date."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
import mcp_types as types
import pytest

from tests.servers.doorman import RESET, doorman, page, status
from tests.servers.watching import Record, eventually, shell, state_of, text_of
from trunkline import (
    CallError,
    EnhancedMCPClient,
    HttpEndpoint,
    PoolPolicy,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
    StdioEndpoint,
    ToolNotFound,
    ToolPolicy,
)
from trunkline.endpoint import Endpoint
from trunkline.events import (
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    RetryScheduled,
    ToolDrifted,
    ToolsChanged,
)
from trunkline.policy import Era
from trunkline.testing import faults
from trunkline.testing.journal import executions
from trunkline.testing.processes import Option, faulty_http
from trunkline.testing.processes import faulty_stdio as stdio

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("SEED-MCP-1", "SEED-MCP-2")]

Transport: TypeAlias = Literal["stdio", "http"]
TRANSPORTS = pytest.mark.parametrize("transport", ["stdio", "http"])
ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
POLICY = ServerPolicy(pool=PoolPolicy(base=0.02, cap=0.1, grace=0.2), retry=RetryPolicy(base=0.01, cap=0.02))
EVERYTHING = Path(__file__).resolve().parents[2] / ".servers" / "bin" / "mcp-server-everything"


@asynccontextmanager
async def endpoint(transport: Transport, **options: Option) -> AsyncGenerator[Endpoint, None]:
    if transport == "stdio":
        yield stdio(**options)
    else:
        async with faulty_http(port=None, listens=True, **options) as server:
            yield HttpEndpoint(server.url)


@TRANSPORTS
@ERAS
@pytest.mark.requirement("SEED-CLIENT-1")
async def test_every_page_of_a_listing_is_found_an_empty_cursor_included(transport: Transport, era: Era) -> None:
    async with endpoint(transport, era=era, page_size=3) as where, EnhancedMCPClient({"s": where}) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        said = text_of(await client.call_tool(names[-1], {"kind": "none"}))

    assert (len(names), len(set(names))) == (10, 10)
    assert (names[0], names[-1], said) == ("s_echo", "s_fault", "ok")


@TRANSPORTS
@ERAS
async def test_a_changed_listing_reaches_the_registry_while_connected(transport: Transport, era: Era) -> None:
    record = Record()
    async with (
        endpoint(transport, era=era) as where,
        EnhancedMCPClient([ServerSettings("s", where, POLICY)], observers=[record]) as client,
    ):
        await client.call_tool("s_fault", faults.change_tools(add="fresh", remove="lookup"))
        change = await record.until(ToolsChanged, server="s", count=2)
        said = text_of(await client.call_tool("s_fresh", {"text": "new here"}))
        with pytest.raises(ToolNotFound):
            await client.call_tool("s_lookup", {"op": "it"})

        await client.call_tool("s_fault", faults.change_tools(redescribe="echo"))
        drift = await record.until(ToolDrifted, server="s")

    assert (change.added, change.removed) == (("s_fresh",), ("s_lookup",))
    assert said == "new here"
    assert drift.name == "s_echo"
    assert len(record.of(ConnectionOpened)) == 1


async def test_the_last_good_listing_stays_while_the_server_is_down_and_says_since_when_and_why() -> None:
    record = Record()
    async with (
        faulty_http() as server,
        EnhancedMCPClient([ServerSettings("s", HttpEndpoint(server.url), POLICY)], observers=[record]) as client,
    ):
        registry = client.registry
        before = registry.availability("s_echo")
        await server.kill()
        # Nothing tells of an idle HTTP server's death but the next request.
        with pytest.raises(CallError):
            await client.call_tool("s_echo", {"text": "anybody there"}, timeout=0.5)
        lost = await record.until(ConnectionEnded)
        away = registry.availability("s_echo")
        listed = [tool.name for tool in (await client.list_tools()).tools]
        await record.until(ConnectFailed)
        reason = registry.availability("s_echo").reason
        await server.start()
        await eventually(lambda: registry.is_available("s_echo"))
        back = registry.availability("s_echo")
        said = text_of(await client.call_tool("s_echo", {"text": "back"}))

    assert (before.state, back.state, said) == ("available", "available", "back")
    assert before.since <= away.since <= back.since
    assert lost.reason == "nothing listens at the server's address"
    assert away.state == "unavailable"
    assert reason == "ConnectError: Connection refused"
    assert len(listed) == 10
    # The listing is the same one, so nobody is told of a change.
    assert len(record.of(ToolsChanged)) == 1


async def test_a_child_that_dies_leaves_its_listing_and_its_last_words(tmp_path: Path) -> None:
    record, repaired = Record(), tmp_path / "repaired"
    repaired.touch()
    script = 'if [ ! -e "$0" ]; then echo broken >&2; exit 9; fi; exec "$@"'
    settings = ServerSettings("s", shell(script, repaired, journal=tmp_path / "journal"), POLICY)
    async with EnhancedMCPClient([settings], observers=[record]) as client:
        repaired.unlink()
        with pytest.raises(CallError):
            await client.call_tool("s_fault", {"kind": "crash_before"})
        await record.until(ConnectFailed, reason="the server's process exited with status 9: broken")
        away = client.registry.availability("s_echo")
        repaired.touch()
        await eventually(lambda: client.registry.is_available("s_echo"))

    assert (away.state, away.reason) == ("unavailable", "the server's process exited with status 9: broken")


HICCUPS = {
    "overloaded": status(503, Retry_After="0"),
    "unavailable": status(503),
    "throttled": status(429),
    "failing": status(500),
    "unauthorised": status(401),
    "garbled": page(b"Segmentation fault (core dumped)"),
    "behind a portal": page(b"<!doctype html><title>Sign in</title>", "text/html"),
    "reset": RESET,
}


@pytest.mark.parametrize("hiccup", HICCUPS)
async def test_a_modern_server_is_not_downgraded_by_a_hiccup_at_its_first_question(hiccup: str) -> None:
    record = Record()
    async with faulty_http() as server, doorman(server.port) as guard:
        guard.script["server/discover"] = deque([HICCUPS[hiccup]] * 2)
        settings = ServerSettings("s", HttpEndpoint(guard.url), POLICY)
        async with EnhancedMCPClient([settings], observers=[record]) as client:
            opened = await record.until(ConnectionOpened)
            said = text_of(await client.call_tool("s_echo", {"text": "hello"}))

    assert opened.era == "2026-07-28"
    assert len(record.of(ConnectFailed)) == 2
    assert guard.asked("initialize") == 0
    assert guard.asked("server/discover") == 3
    assert said == "hello"


async def test_a_modern_child_that_garbles_its_first_answer_and_crashes_is_not_downgraded(tmp_path: Path) -> None:
    record = Record()
    script = 'if [ ! -e "$0" ]; then touch "$0"; read line; echo garbled; exit 1; fi; exec "$@"'
    settings = ServerSettings("s", shell(script, tmp_path / "once"), POLICY)
    async with EnhancedMCPClient([settings], observers=[record]):
        opened = await record.until(ConnectionOpened)

    assert opened.era == "2026-07-28"
    assert len(record.of(ConnectFailed)) == 1


@TRANSPORTS
async def test_a_server_of_the_handshake_era_is_found(transport: Transport) -> None:
    record = Record()
    async with (
        endpoint(transport, era="2025-11-25") as where,
        EnhancedMCPClient({"s": where}, observers=[record]) as client,
    ):
        assert text_of(await client.call_tool("s_echo", {"text": "old"})) == "old"

    assert [event.era for event in record.of(ConnectionOpened)] == ["2025-11-25"]


@ERAS
async def test_the_era_is_asked_for_once_and_kept_for_every_later_connection(era: Era) -> None:
    record = Record()
    async with faulty_http(era=era) as server, doorman(server.port) as guard:
        settings = ServerSettings("s", HttpEndpoint(guard.url), POLICY)
        async with EnhancedMCPClient([settings], observers=[record]) as client:
            for count in (2, 3):
                client.fleet.stacks["s"].replicas[0].pool.replace("asked by a test")
                await record.until(ConnectionOpened, count=count)
            assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"

    assert [event.era for event in record.of(ConnectionOpened)] == [era] * 3
    assert guard.asked("server/discover") == 1
    assert guard.asked("initialize") == (3 if era == "2025-11-25" else 0)


async def test_a_server_that_changes_its_era_is_found_again() -> None:
    record = Record()
    async with faulty_http(era="2025-11-25") as old, faulty_http(era="2026-07-28") as new, doorman(old.port) as guard:
        settings = ServerSettings("s", HttpEndpoint(guard.url), POLICY)
        async with EnhancedMCPClient([settings], observers=[record]) as client:
            guard.upstream_port = new.port
            client.fleet.stacks["s"].replicas[0].pool.replace("asked by a test")
            opened = await record.until(ConnectionOpened, count=2)
            assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"

    assert opened.era == "2026-07-28"


@TRANSPORTS
async def test_a_configured_era_is_not_asked_for(transport: Transport) -> None:
    record = Record()
    async with endpoint(transport) as where:
        settings = ServerSettings("s", where, replace(POLICY, era="2025-11-25"))
        async with EnhancedMCPClient([settings], observers=[record]):
            pass

    assert [event.era for event in record.of(ConnectionOpened)] == ["2025-11-25"]


@pytest.mark.parametrize(("trusted", "runs"), [(False, 1), (True, 3)])
async def test_annotations_prove_something_only_for_a_trusted_server(
    trusted: bool,
    runs: int,
    tmp_path: Path,
) -> None:
    journal, record = tmp_path / "journal", Record()
    policy = replace(POLICY, trust_annotations=trusted, attempt_timeout=0.2)
    settings = ServerSettings("s", stdio(journal=journal), policy)
    async with EnhancedMCPClient([settings], observers=[record]) as client:
        with pytest.raises(CallError) as caught:
            await client.call_tool("s_lookup", {"op": "read", "delay_ms": 60_000})
        with pytest.raises(CallError) as appended:
            await client.call_tool("s_append", {"op": "write", "delay_ms": 60_000})

    assert caught.value.attempts == runs
    assert executions(journal, "before") == {"read": runs, "write": 1}
    assert appended.value.attempts == 1
    assert {event.name for event in record.of(RetryScheduled)} == ({"s_lookup"} if trusted else set())


async def test_the_operator_may_say_that_a_tool_is_repeatable_whatever_its_server_says(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    settings = ServerSettings("s", stdio(journal=journal), replace(POLICY, attempt_timeout=0.2))
    tools = {"s_append": ToolPolicy(idempotent=True)}
    async with EnhancedMCPClient([settings], tools=tools) as client:
        with pytest.raises(CallError) as caught:
            await client.call_tool("s_append", {"op": "write", "delay_ms": 60_000})

    assert caught.value.attempts == 3
    assert executions(journal, "before") == {"write": 3}


@pytest.fixture
def everything() -> StdioEndpoint:
    """A server that somebody else wrote, with prompts, resources and completions."""
    assert EVERYTHING.exists(), "third-party servers are missing: run `make servers`"
    return StdioEndpoint(str(EVERYTHING), ("stdio",))


@pytest.mark.requirement("SEED-TEST-2", "INV-1")
async def test_tools_prompts_resources_and_completions_of_a_third_party_server_are_found_and_used(
    everything: StdioEndpoint,
) -> None:
    async with EnhancedMCPClient({"e": everything}) as client:
        assert text_of(await client.call_tool("e_echo", {"message": "hello"})) == "Echo: hello"
        summed = await client.call_tool("e_get-sum", {"a": 2, "b": 40})

        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        prompt = await client.get_prompt("e_args-prompt", {"city": "Bergen"})
        resources = [str(resource.uri) for resource in (await client.list_resources()).resources]
        read = await client.read_resource(resources[0])
        templates = [found.uri_template for found in (await client.list_resource_templates()).resource_templates]
        made = await client.read_resource(templates[0].replace("{resourceId}", "7"))
        completed = await client.complete(
            types.PromptReference(type="ref/prompt", name="e_completable-prompt"),
            {"name": "department", "value": "E"},
        )
        with pytest.raises(ToolNotFound):
            await client.get_prompt("e_no-such-prompt")
        with pytest.raises(ToolNotFound):
            await client.read_resource("nowhere://at/all")

    assert "42" in text_of(summed)
    assert "e_args-prompt" in prompts
    assert isinstance(prompt.messages[0].content, types.TextContent)
    assert "Bergen" in prompt.messages[0].content.text
    assert isinstance(read.contents[0], types.TextResourceContents)
    assert str(read.contents[0].uri) == resources[0]
    assert isinstance(made.contents[0], types.TextResourceContents)
    assert "7" in made.contents[0].text
    assert completed.completion.values == ["Engineering"]


async def test_prompts_and_resources_of_one_server_are_listed_while_another_is_down(everything: StdioEndpoint) -> None:
    async with EnhancedMCPClient({"e": everything, "gone": StdioEndpoint("not-there")}) as client:
        await client.fleet.wait_settled(anyio.current_time() + 20)
        assert (await client.list_prompts()).prompts != []
        assert (await client.list_resources()).resources != []
        assert state_of(client, "gone") != "healthy"
