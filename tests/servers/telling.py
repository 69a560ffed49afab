"""A server of the SDK in this process that has resources and prompts, and tells of their changes in either era."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, TypeAlias

import anyio
import mcp_types as types
from mcp.server import NotificationOptions
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError

from tests.servers.changing import Changing

Asked: TypeAlias = tuple[float, Literal["subscribe", "unsubscribe", "listen"], tuple[str, ...]]
"""When somebody asked, for what, and for which resources."""


class Telling(Changing):
    """Tells of the updates of any resource but those it refuses, and notes each request to do so."""

    def __init__(self, *, tells: bool = True) -> None:
        super().__init__("a", tells=tells)
        self.refused: set[str] = set()
        """Resources of which it does not tell, nor stops to."""
        self.ignored: set[str] = set()
        """Resources about which it does not answer."""
        self._subscribed: Counter[str] = Counter()
        self.asked: list[Asked] = []
        self.add_request_handler("resources/list", types.PaginatedRequestParams, self._list_resources)
        self.add_request_handler("prompts/list", types.PaginatedRequestParams, self._list_prompts)
        if tells:
            self.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self._subscribe)
            self.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe)
        self.middleware.append(self._note)

    @property
    def subscribed(self) -> set[str]:
        """Resources of whose updates it has to tell now."""
        return set(+self._subscribed)

    async def update(self, uri: str) -> None:
        """Tell who subscribed that this resource has another content."""
        await self._bus.publish(ResourceUpdated(uri=uri))
        if self._is_in_handshake_era and uri in self.subscribed:
            assert self._session is not None
            await self._session.send_resource_updated(uri)

    async def relist(self, listing: Literal["prompts", "resources"]) -> None:
        """Tell that there are other prompts or resources now."""
        await self._bus.publish(PromptsListChanged() if listing == "prompts" else ResourcesListChanged())
        if self._is_in_handshake_era:
            assert self._session is not None
            session = self._session
            await (session.send_prompt_list_changed if listing == "prompts" else session.send_resource_list_changed)()

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **options: Any
    ) -> InitializationOptions:
        """Announce in the handshake era, too, that it tells of every change."""
        told = notification_options or NotificationOptions(True, True, True)
        return super().create_initialization_options(told, *args, **options)

    @property
    def _is_in_handshake_era(self) -> bool:
        return self._session is not None and self._session.protocol_version == "2025-11-25"

    async def _note(self, ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        params, now = ctx.params or {}, anyio.current_time()
        match ctx.method:
            case "initialize":
                self._subscribed.clear()
            case "resources/subscribe":
                self.asked.append((now, "subscribe", (params["uri"],)))
            case "resources/unsubscribe":
                self.asked.append((now, "unsubscribe", (params["uri"],)))
            case "subscriptions/listen" if uris := params["notifications"].get("resourceSubscriptions"):
                self.asked.append((now, "listen", tuple(sorted(uris))))
        return await call_next(ctx)

    async def _list_resources(self, _context: object, _params: object) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])

    async def _list_prompts(self, _context: object, _params: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[])

    async def _subscribe(self, _context: object, params: types.SubscribeRequestParams) -> types.EmptyResult:
        await self._welcome({str(params.uri)})
        self._subscribed[str(params.uri)] = 1
        return types.EmptyResult()

    async def _unsubscribe(self, _context: object, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        await self._welcome({str(params.uri)})
        del self._subscribed[str(params.uri)]
        return types.EmptyResult()

    async def _listen(
        self, context: ServerRequestContext[Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        uris = set(params.notifications.resource_subscriptions or ())
        if not uris:
            return await super()._listen(context, params)
        await self._welcome(uris)
        self._subscribed.update(uris)
        try:
            return await self._listener(context, params)
        finally:
            self._subscribed.subtract(uris)

    async def _welcome(self, uris: set[str]) -> None:
        if uris & self.ignored:
            await anyio.sleep_forever()
        if uris & self.refused:
            raise MCPError(types.INVALID_PARAMS, "nobody may know")
