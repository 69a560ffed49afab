"""One MCP session: our calls as the protocol's requests. Sits between a connection and the SDK's `ClientSession`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress

import anyio
import mcp_types as types
from mcp import ClientSession, MCPError
from mcp.client.subscriptions import listen
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from trunkline import clock
from trunkline.call import Call, Delivery, ToolResult
from trunkline.endpoint import Endpoint, HttpEndpoint
from trunkline.errors import CallError, CallFailed, ConnectionLost, InvalidResult
from trunkline.exchange import Exchange
from trunkline.resilience.incidents import Waves
from trunkline.transport.asking import Line
from trunkline.transport.changes import announced
from trunkline.transport.faults import cause_of, is_lost_session, is_unreachable, translate
from trunkline.transport.listing import every_page, shown
from trunkline.transport.reasons import Blots, SessionFailed, presentable
from trunkline.transport.requests import meta_of, requested, require_fit, subscribe
from trunkline.transport.wire import CURRENT_WIRE, Wire

__all__ = ["Session"]

_TOOL_ANSWER: TypeAdapter[ToolResult | types.InputRequiredResult] = TypeAdapter(ToolResult | types.InputRequiredResult)
_FAULTS = (MCPError, ValidationError, RuntimeError, ValueError, anyio.ClosedResourceError, anyio.BrokenResourceError)
"""What the SDK raises for a request that has no result. Cancellation is not among them."""


class Session:
    """An open session. Calls may come from any task; opening and closing belong to the one that runs it."""

    def __init__(
        self,
        client: ClientSession,
        endpoint: Endpoint,
        blots: Blots,
        *,
        on_lost: Callable[[str], None],
        explain: Callable[[Exception, Wire], Awaitable[str]],
        line: Line | None = None,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._blots = blots
        self._on_lost = on_lost
        self._explain = explain
        self._waves = Waves()
        self._line = line
        self._level: types.LoggingLevel | None = None

    @property
    def era(self) -> str:
        """The protocol version in use."""
        return self._client.protocol_version or ""

    @property
    def is_modern(self) -> bool:
        """Whether the session is of the stateless era."""
        return self._client.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def capabilities(self) -> types.ServerCapabilities:
        """What the server says it can do."""
        return self._client.server_capabilities or types.ServerCapabilities()

    async def send(self, call: Call) -> types.Result:
        """Make one attempt. Leaves on the call what is known about its delivery, however the attempt ends.

        Raises:
            CallFailed: No result; `delivery` says what is known.
            ServerUnavailable: It could not be authorised, and has not run.
        """
        wire, started = Wire(), clock.now()
        token = CURRENT_WIRE.set(wire)
        try:
            if call.exchange is None:
                result = await self._request(call)
            else:
                wire.capabilities = call.exchange.peer.capabilities
                result = await self._converse(call, call.exchange, wire)
        except _FAULTS as error:
            failure = self._failure(error, call, wire, started)
            wire.delivery = failure.delivery
            raise failure from cause_of(error, self._blots.now)
        except CallFailed as error:
            wire.delivery = error.delivery
            raise
        else:
            wire.delivery = Delivery.ANSWERED
            self._waves.answered()
            return result
        finally:
            CURRENT_WIRE.reset(token)
            call.delivery = wire.delivery
            call.may_have_run |= wire.delivery in (Delivery.UNKNOWN, Delivery.ANSWERED)

    def _failure(self, error: Exception, call: Call, wire: Wire, started: float) -> CallError:
        incident = self._incident_of(started)
        has_session = isinstance(self._endpoint, HttpEndpoint) and not self.is_modern
        if is_lost_session(error, wire, has_session=has_session):
            self._on_lost("the server no longer knows the session")
            words = f"server {call.server!r} was restarted and no longer knows the session"
            return ConnectionLost(
                words, delivery=Delivery.NOT_SENT, incident=incident, tool=call.name, server=call.server
            )
        failure = translate(error, call, wire, incident=incident, secrets=self._blots.now)
        if is_unreachable(wire):
            self._on_lost("nothing listens at the server's address")
        return failure

    def _incident_of(self, started: float) -> object:
        """A child process is lost once, and the session with it: all its failures are one."""
        return self._waves.of(started, clock.now()) if isinstance(self._endpoint, HttpEndpoint) else self

    async def _converse(self, call: Call, exchange: Exchange, wire: Wire) -> types.Result:
        """Make the request for somebody who can be asked, and who may want to be told what the server logs."""
        if self._line is None:
            if self.is_modern and exchange.peer.log_level is not None:
                wire.log_level, wire.log = exchange.peer.log_level, exchange.peer.log
            return await self._request(call)
        level = exchange.peer.log_level
        with self._line.held(call, exchange):
            if level is not None and level != self._level and self.capabilities.logging is not None:
                self._level = level
                await self._set_level(level)
            return await self._request(call)

    async def _set_level(self, level: types.LoggingLevel) -> None:
        token = CURRENT_WIRE.set(Wire())
        try:
            # A server that will not have it may still serve the call.
            with suppress(MCPError):
                request = types.SetLevelRequest(params=types.SetLevelRequestParams(level=level))
                await self._client.send_request(request, types.EmptyResult)
        finally:
            CURRENT_WIRE.reset(token)

    async def _request(self, call: Call) -> types.Result:
        return await (self._call_tool(call) if call.method == "tools/call" else requested(self._client, call))

    async def _call_tool(self, call: Call) -> ToolResult | types.InputRequiredResult:
        params = types.CallToolRequestParams(name=call.target, arguments=call.arguments, _meta=meta_of(call))
        if call.exchange is not None:
            params.input_responses, params.request_state = call.exchange.responses, call.exchange.state
        # Not the SDK's call_tool: for a tool it has not listed it lists again after the call, and fails the call when
        # that fails, although the tool has run.
        result = await self._client.send_request(
            types.CallToolRequest(params=params), _TOOL_ANSWER, progress_callback=call.progress
        )
        if isinstance(result, types.InputRequiredResult):
            if call.exchange is not None:
                return result
            words = f"tool {call.name!r} asks for input, and no handler for input is configured"
            raise InvalidResult(words, tool=call.name, server=call.server)
        if not result.is_error and call.result_problems is not None:
            require_fit(result, call.result_problems)
        return result

    async def list_tools(self) -> list[types.Tool]:
        """Every tool of the server; empty for a server that has none.

        Raises:
            SessionFailed: The listing failed or does not end.
        """
        if self.capabilities.tools is None and not self.is_modern:
            return []
        async with self._own_request():
            pages = await every_page(lambda page: self._client.list_tools(params=page))
        hidden = self._blots.listed
        return [shown(tool, hidden) for page in pages for tool in page.tools]

    async def ping(self) -> None:
        """Ask for a sign of life: `server/discover` in the stateless era, `ping` before.

        Raises:
            SessionFailed: The server refused or the connection failed.
        """
        async with self._own_request():
            if self.is_modern:
                await self._client.send_discover(LATEST_MODERN_VERSION)
            else:
                await self._client.send_ping()

    async def watch(self, on_watching: Callable[[], None]) -> None:
        """Have the server tell of changes, which in the handshake era it does by itself, until it ends that.

        They come as all notifications do. `on_watching` is called when the server has begun to tell: it replays
        nothing, so what changed before is found by asking again.

        Raises:
            SessionFailed: The server refused the subscription, or the stream was lost.
        """
        told = announced(self.capabilities)
        wanted = listen(
            self._client,
            tools_list_changed="tools" in told,
            prompts_list_changed="prompts" in told,
            resources_list_changed="resources" in told,
        )
        async with self._own_request(), wanted as subscription:
            on_watching()
            async for _change in subscription:
                pass

    async def subscribe(self, uri: str, *, wanted: bool) -> None:
        """Have a server of the handshake era tell of a resource's updates, or no longer; raises `SessionFailed`."""
        async with self._own_request():
            await subscribe(self._client, uri, wanted=wanted)

    async def watch_resources(self, uris: Collection[str], on_watching: Callable[[], None]) -> None:
        """Have a server of the stateless era tell of these resources' updates, as `watch` does of listings."""
        async with self._own_request(), listen(self._client, resource_subscriptions=list(uris)) as subscription:
            on_watching()
            async for _update in subscription:
                pass

    @property
    def can_subscribe(self) -> bool:
        """Whether the server tells of single resources' updates."""
        return self.capabilities.resources is not None and self.capabilities.resources.subscribe is True

    @asynccontextmanager
    async def _own_request(self) -> AsyncIterator[None]:
        """Requests that no caller asked for: their failure is a reason in words."""
        wire = Wire()
        token = CURRENT_WIRE.set(wire)
        try:
            yield
        except _FAULTS as error:
            if is_unreachable(wire):
                self._on_lost("nothing listens at the server's address")
            words = presentable(await self._explain(error, wire), self._blots.now)
            raise SessionFailed(words) from cause_of(error, self._blots.now)
        finally:
            CURRENT_WIRE.reset(token)

    @property
    def can_watch(self) -> bool:
        """Whether `watch` is how this server tells of changes."""
        return self.is_modern and bool(announced(self.capabilities))
