"""Tells downstream clients of both eras that a listing has changed. Sits beside the gateway's server.

Clients of 2026-07-28 open a `subscriptions/listen` stream, which the SDK serves from a bus. Clients of the handshake
era are told over their session, and the SDK hands a session to nobody but the handler of a message: so each one that
finished its handshake is remembered here. It never says that one has ended, but what is sent to it then goes nowhere;
hence a bounded memory that forgets the session unused for the longest time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import (
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    ResourceUpdatedNotificationParams,
    ServerNotification,
    ToolListChangedNotification,
)

from trunkline.gateway.gathering import Gathering
from trunkline.registry.availability import RegistryChange
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["Announcements"]

_PATIENCE: Final = 2.0
"""Seconds a client may take to receive an announcement."""
_STREAMS: Final = 256
"""Open `subscriptions/listen` streams."""

_Kind: TypeAlias = type[ToolsListChanged] | type[PromptsListChanged] | type[ResourcesListChanged]


class Announcements:
    """Folds the registry's changes into announcements while `running`; `listen` serves the streams of 2026-07-28."""

    def __init__(self, registry: ToolRegistry, *, sessions: int) -> None:
        """Watch `registry`; remember at most `sessions` clients of the handshake era."""
        self._registry = registry
        self._limit = sessions
        self._bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self._bus, max_subscriptions=_STREAMS)
        self._sessions: OrderedDict[str, ServerSession] = OrderedDict()
        self._callable: dict[str, bool] = {}
        self._changes = Gathering[_Kind]()

    def __repr__(self) -> str:
        return f"<Announcements [{len(self._sessions)} sessions] {self._changes!r}>"

    async def remember(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Server middleware: note whose handshake is done, and who was heard of last."""
        if ctx.method == "notifications/initialized":
            self._sessions[self.key_of(ctx)] = ctx.session
            if len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
        elif self._sessions and (key := self.key_of(ctx)) in self._sessions:
            self._sessions.move_to_end(key)
        return await call_next(ctx)

    def key_of(self, ctx: ServerRequestContext[Any, Any]) -> str:
        """What a session is remembered by."""
        return "" if ctx.request is None else ctx.request.headers.get("mcp-session-id", "")

    def remembers(self, key: str) -> bool:
        """Whether what is announced still reaches a session."""
        return key in self._sessions

    async def publish(self, event: ServerEvent, keys: Iterable[str] | None = None) -> None:
        """Announce one change: to streams as far as they want to know, and to these sessions; None for all."""
        await self._bus.publish(event)
        notification = _for_sessions(event)
        wanted = self._sessions if keys is None else [key for key in keys if key in self._sessions]
        async with anyio.create_task_group() as tasks:
            for key in list(wanted):
                tasks.start_soon(_tell, self._sessions[key], notification)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Announce changes until the block is left."""
        unsubscribe = self._registry.subscribe(self._note)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._announce)
                yield
                tasks.cancel_scope.cancel()
        finally:
            unsubscribe()
            self._sessions.clear()

    def _note(self, change: RegistryChange) -> None:
        if change.kind == "tools":
            self._changes.add(ToolsListChanged)
        elif change.availability is not None:
            # Listings of prompts and resources leave out servers that cannot be reached; those of tools do not.
            now = change.availability.is_callable
            if self._callable.get(change.server) != now:
                self._callable[change.server] = now
                self._changes.add(PromptsListChanged, ResourcesListChanged)

    async def _announce(self) -> None:
        while True:
            for kind in await self._changes.take():
                await self.publish(kind())


async def _tell(session: ServerSession, notification: ServerNotification) -> None:
    # A client that has stopped reading holds up its own stream only.
    with anyio.move_on_after(_PATIENCE):
        await session.send_notification(notification)


def _for_sessions(event: ServerEvent) -> ServerNotification:
    match event:
        case ToolsListChanged():
            return ToolListChangedNotification()
        case PromptsListChanged():
            return PromptListChangedNotification()
        case ResourceUpdated():
            return ResourceUpdatedNotification(params=ResourceUpdatedNotificationParams(uri=event.uri))
        case _:
            return ResourceListChangedNotification()
