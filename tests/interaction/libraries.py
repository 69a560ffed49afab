"""A real SDK server with resources, prompts and tools that change, and that tells of it in either era."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
)

from trunkline.endpoint import InProcessEndpoint

__all__ = ["Library"]


class Library(Server[dict[str, Any]]):
    """Books by URI; every answer carries `ttl_ms` and `scope`. The tool `publish` tells of changes as it is told to."""

    def __init__(self, *, ttl_ms: int = 60_000, scope: Any = "private", is_paged: bool = False) -> None:
        self.bus = InMemorySubscriptionBus()
        super().__init__(
            "library",
            on_list_tools=self._tools,
            on_call_tool=self._call,
            on_list_resources=self._list,
            on_list_resource_templates=self._templates,
            on_read_resource=self._read,
            on_list_prompts=self._prompts,
            on_subscriptions_listen=ListenHandler(self.bus),
        )
        self.hints: dict[str, Any] = {"ttl_ms": ttl_ms, "cache_scope": scope}
        self.is_paged = is_paged
        self.asked: list[str] = []
        """What was asked of it, in order."""
        self.is_silent = False
        """Whether readers are kept waiting for ever."""

    @property
    def endpoint(self) -> InProcessEndpoint:
        return InProcessEndpoint(self)

    def count(self, what: str) -> int:
        return sum(asked.startswith(what) for asked in self.asked)

    async def _tools(self, _context: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="publish", input_schema={"type": "object"})])

    async def _call(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        for what in (params.arguments or {}).get("changed", ()):
            await self._tell(context, what)
        return types.CallToolResult(content=[])

    async def _tell(self, context: ServerRequestContext[Any], what: str) -> None:
        match what:
            case "resources":
                await self.bus.publish(ResourcesListChanged())
                await context.session.send_resource_list_changed()
            case "prompts":
                await self.bus.publish(PromptsListChanged())
                await context.session.send_prompt_list_changed()
            case uri:
                await self.bus.publish(ResourceUpdated(uri))
                await context.session.send_resource_updated(uri)

    async def _list(self, _context: object, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        self.asked.append("list")
        books = [types.Resource(name=f"book {number}", uri=f"book://{number}") for number in (1, 2)]
        if not self.is_paged:
            return types.ListResourcesResult(resources=books, **self.hints)
        if params is None or params.cursor is None:
            return types.ListResourcesResult(resources=books[:1], next_cursor="2", ttl_ms=9_000, cache_scope="public")
        return types.ListResourcesResult(resources=books[1:], **self.hints)

    async def _templates(self, _context: object, _params: object) -> types.ListResourceTemplatesResult:
        self.asked.append("templates")
        return types.ListResourceTemplatesResult(resource_templates=[], **self.hints)

    async def _read(self, _context: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        self.asked.append(f"read {params.uri}")
        if self.is_silent:
            await anyio.sleep_forever()
        text = f"edition {self.count(f'read {params.uri}')}"
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)], **self.hints)

    async def _prompts(self, _context: object, _params: object) -> types.ListPromptsResult:
        self.asked.append("prompts")
        return types.ListPromptsResult(prompts=[types.Prompt(name="summarise")], **self.hints)
