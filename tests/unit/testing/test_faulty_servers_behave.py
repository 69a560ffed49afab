"""While nothing is asked to go wrong, the faulty servers are what the real SDK client expects, in both eras."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.subscriptions import ToolsListChanged

from trunkline.testing.journal import executions, read
from trunkline.testing.processes import faulty_http, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

PATIENCE = 10.0
LEGACY, MODERN, AUTO = "legacy", "2026-07-28", "auto"


@dataclass(frozen=True)
class Way:
    """A transport and an era."""

    transport: str
    mode: str
    sse: bool = False

    def __str__(self) -> str:
        return f"{self.transport}-{self.mode}{'-sse' if self.sse else ''}"

    @asynccontextmanager
    async def client(self, message_handler: Any = None, **options: Any) -> AsyncGenerator[Client, None]:
        """The SDK's client, connected to a faulty server of its own."""
        if self.transport == "http":
            async with (
                faulty_http(sse=self.sse, **options) as server,
                Client(server.url, mode=self.mode, message_handler=message_handler) as client,
            ):
                yield client
        else:
            program, arguments = stdio_command(**options)
            parameters = StdioServerParameters(command=program, args=arguments)
            async with Client(parameters, mode=self.mode, message_handler=message_handler) as client:
                yield client


WAYS = [Way(transport, mode) for transport in ("stdio", "http") for mode in (LEGACY, MODERN, AUTO)]
WAYS += [Way("http", LEGACY, sse=True), Way("http", MODERN, sse=True)]
LEGACY_WAYS = [way for way in WAYS if way.mode == LEGACY]
MODERN_WAYS = [way for way in WAYS if way.mode == MODERN]

every_way = pytest.mark.parametrize("way", WAYS, ids=str)


async def all_tools(client: Client) -> tuple[list[types.Tool], list[str | None]]:
    """All pages, and the cursors that led to them."""
    tools: list[types.Tool] = []
    cursors: list[str | None] = [None]
    while True:
        page = await client.list_tools(cursor=cursors[-1])
        tools += page.tools
        if page.next_cursor is None:
            return tools, cursors
        cursors.append(page.next_cursor)


@every_way
async def test_every_page_of_the_listing_arrives_behind_an_empty_cursor_too(way: Way) -> None:
    async with way.client(page_size=3) as client:
        tools, cursors = await all_tools(client)

    names = [tool.name for tool in tools]
    assert names == ["echo", "add", "append", "lookup", "sleep", "progress", "fail", "rpc_error", "add_wrong", "fault"]
    assert len(cursors) == 4
    assert cursors[1] == ""


async def test_tools_say_truly_what_may_be_repeated() -> None:
    async with Way("stdio", MODERN).client() as client:
        tools, _ = await all_tools(client)

    hints = {tool.name: tool.annotations for tool in tools}
    assert all(hint is not None for hint in hints.values())
    repeatable = {name for name, hint in hints.items() if hint and hint.idempotent_hint and hint.read_only_hint}
    assert {"echo", "add", "lookup"} <= repeatable
    assert not {"append", "fault"} & repeatable


@every_way
async def test_calls_are_answered_and_each_is_journalled_once(way: Way, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with way.client(journal=journal) as client:
        echo = await client.call_tool("echo", {"text": "hello"})
        add = await client.call_tool("add", {"a": 2, "b": 3})
        for _ in range(2):
            await client.call_tool("append", {"op": "first"})
        await client.call_tool("lookup", {"op": "second"})
        failed = await client.call_tool("fail", {"message": "no"})
        wrong = await client.call_tool("add", {"a": "2"})

    assert echo.content == [types.TextContent(text="hello")]
    assert add.structured_content == {"sum": 5}
    assert failed.is_error
    assert wrong.is_error
    assert executions(journal) == {"echo": 1, "add": 1, "first": 2, "second": 1, "fail": 1}
    assert executions(journal) == executions(journal, "before")


@every_way
async def test_progress_arrives_before_the_answer(way: Way) -> None:
    told: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async with way.client() as client:
        await client.call_tool("progress", {"steps": 3}, progress_callback=on_progress)

    assert told == [(1, 3), (2, 3), (3, 3)]


@every_way
async def test_errors_of_the_protocol_keep_their_code(way: Way) -> None:
    async with way.client() as client:
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("nonesuch")
        with pytest.raises(MCPError, match="on purpose") as asked:
            await client.call_tool("rpc_error", {"code": 4711, "message": "on purpose"})
        assert (await client.call_tool("echo", {"text": "still here"})).content

    assert unknown.value.error.code == types.INVALID_PARAMS
    assert asked.value.error.code == 4711


@every_way
async def test_calls_on_one_connection_do_not_wait_for_each_other(way: Way) -> None:
    async with way.client() as client, anyio.create_task_group() as tasks:
        await client.list_tools()
        tasks.start_soon(client.call_tool, "fault", {"kind": "hang"})
        with anyio.fail_after(PATIENCE):
            assert (await client.call_tool("echo", {"text": "past it"})).content
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("way", LEGACY_WAYS, ids=str)
async def test_a_changed_listing_is_told_to_a_client_of_the_handshake_era(way: Way) -> None:
    changed = anyio.Event()

    async def handler(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    async with way.client(message_handler=handler) as client:
        assert client.protocol_version == "2025-11-25"
        await client.call_tool("fault", {"kind": "change_tools", "add": "novelty", "remove": "sleep"})
        with anyio.fail_after(PATIENCE):
            await changed.wait()
        tools, _ = await all_tools(client)
        assert (await client.call_tool("novelty", {"text": "new"})).content == [types.TextContent(text="new")]

    names = {tool.name for tool in tools}
    assert "novelty" in names
    assert "sleep" not in names


@pytest.mark.parametrize("way", MODERN_WAYS, ids=str)
async def test_a_changed_listing_is_told_on_the_streams_of_those_who_listen(way: Way) -> None:
    async with way.client() as client, client.listen(tools_list_changed=True) as changes:
        assert client.protocol_version == "2026-07-28"
        before, _ = await all_tools(client)
        await client.call_tool("fault", {"kind": "change_tools", "redescribe": "echo"})
        with anyio.fail_after(PATIENCE):
            assert await anext(aiter(changes)) == ToolsListChanged()
        after, _ = await all_tools(client)

    assert [tool.name for tool in after] == [tool.name for tool in before]
    assert after[0].description != before[0].description
    assert after[1:] == before[1:]


@pytest.mark.parametrize("way", [way for way in WAYS if way.mode != AUTO and not way.sse], ids=str)
async def test_a_call_given_up_by_its_client_is_noticed_and_still_runs_to_its_end(way: Way, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with way.client(journal=journal) as client:
        await client.list_tools()
        with pytest.raises(MCPError, match="timed out"):
            await client.call_tool("append", {"op": "late", "delay_ms": 1500}, read_timeout_seconds=0.2)
        with anyio.fail_after(PATIENCE):
            while not executions(journal)["late"]:
                await client.call_tool("sleep", {"seconds": 0.05})
        assert (await client.call_tool("echo", {"text": "still here"})).content

    phases = [entry.phase for entry in read(journal) if entry.op == "late"]
    assert phases == ["before", "cancelled", "after"]


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize(
    ("era", "mode", "spoken"),
    [
        ("2025-11-25", AUTO, "2025-11-25"),
        ("2025-11-25", LEGACY, "2025-11-25"),
        ("2026-07-28", AUTO, "2026-07-28"),
        ("2026-07-28", MODERN, "2026-07-28"),
        ("both", AUTO, "2026-07-28"),
        ("both", LEGACY, "2025-11-25"),
    ],
)
async def test_a_server_speaks_the_eras_it_is_told_to(transport: str, era: str, mode: str, spoken: str) -> None:
    async with Way(transport, mode).client(era=era) as client:
        assert client.protocol_version == spoken
        assert (await client.call_tool("echo", {"text": "hello"})).content


async def test_listings_may_be_cached_as_long_as_the_server_says() -> None:
    async with Way("http", MODERN).client(ttl_ms=60_000) as client:
        listing = await client.list_tools()

    assert listing.ttl_ms == 60_000
    assert listing.cache_scope == "public"
