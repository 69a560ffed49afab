"""Tells clients of both eras that a resource they asked about has another content. Sits beside the announcements.

Upstream each resource is subscribed to once, however many ask for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ResourceUpdated as Told

from trunkline.errors import CallError
from trunkline.events import Event, ResourceUpdated
from trunkline.gateway.announcements import Announcements
from trunkline.gateway.gathering import Gathering
from trunkline.gateway.principals import caller_of
from trunkline.infrastructure import Infrastructure

__all__ = ["Updates"]

_MOST: Final = 256
"""Resources that one client may ask about."""

_Context: TypeAlias = ServerRequestContext[Any, Any]


class Updates:
    """Who asked about which resource."""

    def __init__(self, infra: Infrastructure, announcements: Announcements) -> None:
        """Subscribe by the client of `infra`; reach clients as `announcements` does."""
        self._client = infra.mcp_client
        self._bus = infra.bus
        self._announcements = announcements
        self._watchers: dict[str, set[Hashable]] = {}
        self._updated = Gathering[str]()

    def __repr__(self) -> str:
        return f"<Updates [{len(self._watchers)} resources watched]>"

    async def subscribe(self, ctx: _Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """Answer `resources/subscribe`, for as long as the session is remembered."""
        uri, session = str(params.uri), self._announcements.key_of(ctx)
        if not caller_of(ctx).may_read(uri):
            raise MCPError(types.INVALID_PARAMS, f"no resource {uri!r} is known")
        if sum(session in watchers for watchers in self._watchers.values()) >= _MOST:
            raise MCPError(types.INVALID_REQUEST, f"a client may subscribe to {_MOST} resources")
        await self._watch(uri, session)
        return types.EmptyResult()

    async def unsubscribe(self, ctx: _Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        """Answer `resources/unsubscribe`."""
        await self._forget(str(params.uri), self._announcements.key_of(ctx))
        return types.EmptyResult()

    async def listen(
        self, ctx: _Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve a stream of `subscriptions/listen`; of resources that the caller may not read it will tell nothing."""
        principal = caller_of(ctx)
        asked = params.notifications.resource_subscriptions or []
        uris = [uri for uri in dict.fromkeys(asked) if principal.may_read(uri)][:_MOST]
        wanted = params.notifications.model_copy(update={"resource_subscriptions": uris or None})
        stream = object()
        try:
            for uri in uris:
                with suppress(CallError):  # what nobody has is told of by nobody
                    await self._watch(uri, stream)
            return await self._announcements.listen(ctx, params.model_copy(update={"notifications": wanted}))
        finally:
            with anyio.CancelScope(shield=True):
                for uri in uris:
                    await self._forget(uri, stream)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell of updates until the block is left."""
        unsubscribe = self._bus.subscribe(self._note, (ResourceUpdated,))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell)
                yield
                tasks.cancel_scope.cancel()
        finally:
            unsubscribe()

    async def _watch(self, uri: str, who: Hashable) -> None:
        await self._client.watch_resource(uri)
        self._watchers.setdefault(uri, set()).add(who)

    async def _forget(self, uri: str, who: Hashable) -> None:
        watchers = self._watchers.get(uri, set())
        watchers.discard(who)
        if not watchers and self._watchers.pop(uri, None) is not None:
            with suppress(CallError):  # its server is gone, and with it the subscription
                await self._client.watch_resource(uri, wanted=False)

    def _note(self, event: Event) -> None:
        if isinstance(event, ResourceUpdated) and event.uri in self._watchers:
            self._updated.add(event.uri)

    async def _tell(self) -> None:
        while True:
            for uri in await self._updated.take():
                await self._announcements.publish(Told(uri=uri), self._sessions_of(uri))
                for gone in self._gone(uri):
                    await self._forget(uri, gone)

    def _sessions_of(self, uri: str) -> Iterable[str]:
        return [who for who in self._watchers.get(uri, ()) if isinstance(who, str)]

    def _gone(self, uri: str) -> Iterable[str]:
        """Sessions that are no longer remembered: perhaps they have ended, and nobody says so."""
        return [session for session in self._sessions_of(uri) if not self._announcements.remembers(session)]
