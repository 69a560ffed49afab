"""A server of the SDK in this process whose tools change, and that may refuse or break at any point of a session."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError

from trunkline.endpoint import InProcessEndpoint


class Changing(Server[None]):
    """Lists `tools`. Listings and subscriptions may be refused, and each is noted with the loop's time."""

    def __init__(self, *tools: str, tells: bool = True) -> None:
        super().__init__(
            "changing",
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_ping=self._ping,
            on_subscriptions_listen=self._listen if tells else None,
            lifespan=lambda _server: self._live(),
        )
        self.tools = list(tools)
        self.pauses: deque[float] = deque()
        """Seconds the next listings take."""
        self.refuses_listing = False
        self.refuses_watching = False
        self.dies_listing = False
        """Whether a session of the handshake era ends when it is asked for the tools."""
        self.answers_after = 0.0
        """Seconds a call takes."""
        self.at_start: Exception | None = None
        """What a session is refused with."""
        self.at_end: Exception | None = None
        """What goes wrong when a session ends."""
        self.lingers = 0.0
        """Seconds it takes to end a session, cancelled or not."""
        self.listed: list[float] = []
        """When somebody asked for the tools."""
        self.pings = 0
        self.watched: list[float] = []
        """When somebody asked to be told of changes, in the stateless era."""
        self.watching = 0
        self.changes_before_telling: tuple[str, ...] = ()
        """The tools it has from the moment that somebody asks to be told of changes, without a word of it."""
        self._bus = InMemorySubscriptionBus()
        self._listener = ListenHandler(self._bus)
        self._session: ServerSession | None = None
        self._life = anyio.CancelScope()

    @property
    def endpoint(self) -> InProcessEndpoint:
        """Where it is."""
        return InProcessEndpoint(self)

    async def change(self, *tools: str) -> None:
        """Have these tools now, and tell whoever wants to know."""
        self.tools = list(tools)
        await self._bus.publish(ToolsListChanged())
        if self._session is not None and self._session.protocol_version == "2025-11-25":
            await self._session.send_tool_list_changed()

    def stop_telling(self) -> None:
        """End every subscription, as a server does that is about to restart."""
        self._listener.close()

    def end_session(self) -> None:
        """End the present session of the handshake era, as a crash would."""
        self._life.cancel()

    async def run(self, *args: Any, **options: Any) -> None:
        """Serve one session of the handshake era until it is ended from either side."""
        with anyio.CancelScope() as self._life:
            await super().run(*args, **options)

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[None, None]:
        if self.at_start is not None:
            raise self.at_start
        try:
            yield
        finally:
            await anyio.sleep(self.lingers)
        if self.at_end is not None:
            raise self.at_end

    async def _list(self, context: ServerRequestContext[Any], _params: object) -> types.ListToolsResult:
        self._session = context.session
        self.listed.append(anyio.current_time())
        if self.pauses:
            await anyio.sleep(self.pauses.popleft())
        if self.dies_listing:
            self.end_session()
            await anyio.sleep_forever()
        if self.refuses_listing:
            # The code that servers use for anything, the SDK for a connection that has ended.
            raise MCPError(types.CONNECTION_CLOSED, "no listing today")
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in self.tools]
        )

    async def _ping(self, _context: object, _params: object) -> types.EmptyResult:
        self.pings += 1
        return types.EmptyResult()

    async def _call(self, _context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        await anyio.sleep(self.answers_after)
        return types.CallToolResult(content=[types.TextContent(text=params.name)])

    async def _listen(
        self, context: ServerRequestContext[Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        self.watched.append(anyio.current_time())
        if self.refuses_watching:
            raise MCPError(types.INTERNAL_ERROR, "nobody may watch")
        if self.changes_before_telling:
            self.tools = list(self.changes_before_telling)
        self.watching += 1
        try:
            return await self._listener(context, params)
        finally:
            self.watching -= 1
