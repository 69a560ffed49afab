"""One MCP session: our calls as the protocol's requests. Sits between a connection and the SDK's `ClientSession`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import mcp_types as types
from mcp import ClientSession, MCPError
from mcp.client.subscriptions import listen
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from trunkline import clock
from trunkline.call import Call, Delivery, ToolResult
from trunkline.endpoint import Endpoint, HttpEndpoint
from trunkline.errors import CallFailed, ConnectionLost, InvalidResult
from trunkline.resilience.incidents import Waves
from trunkline.transport.changes import announced
from trunkline.transport.faults import cause_of, is_lost_session, is_unreachable, translate
from trunkline.transport.listing import every_page, hints_of, shown
from trunkline.transport.reasons import SessionFailed, blot_out, presentable
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
        *,
        on_lost: Callable[[str], None],
        explain: Callable[[Exception, Wire], Awaitable[str]],
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._secrets = blot_out(endpoint)
        self._on_lost = on_lost
        self._explain = explain
        self._waves = Waves()

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
        """
        wire, started = Wire(), clock.now()
        token = CURRENT_WIRE.set(wire)
        try:
            result = await self._request(call)
        except _FAULTS as error:
            failure = self._failure(error, call, wire, started)
            wire.delivery = failure.delivery
            raise failure from cause_of(error, self._secrets)
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

    def _failure(self, error: Exception, call: Call, wire: Wire, started: float) -> CallFailed:
        incident = self._incident_of(started)
        has_session = isinstance(self._endpoint, HttpEndpoint) and not self.is_modern
        if is_lost_session(error, wire, has_session=has_session):
            self._on_lost("the server no longer knows the session")
            words = f"server {call.server!r} was restarted and no longer knows the session"
            return ConnectionLost(
                words, delivery=Delivery.NOT_SENT, incident=incident, tool=call.name, server=call.server
            )
        failure = translate(error, call, wire, incident=incident, secrets=self._secrets)
        if is_unreachable(wire):
            self._on_lost("nothing listens at the server's address")
        return failure

    def _incident_of(self, started: float) -> object:
        """A child process is lost once, and the session with it: all its failures are one."""
        is_http = isinstance(self._endpoint, HttpEndpoint)
        return self._waves.of(started, clock.now()) if is_http else self

    async def _request(self, call: Call) -> types.Result:
        client, meta = self._client, call.meta
        match call.method:
            case "tools/call":
                return await self._call_tool(call)
            case "resources/list":
                pages = await every_page(lambda page: client.list_resources(params=page))
                resources = [item for page in pages for item in page.resources]
                return types.ListResourcesResult(resources=resources, **hints_of(pages))
            case "resources/templates/list":
                found = await every_page(lambda page: client.list_resource_templates(params=page))
                templates = [item for page in found for item in page.resource_templates]
                return types.ListResourceTemplatesResult(resource_templates=templates, **hints_of(found))
            case "resources/read":
                return await client.read_resource(call.target, meta=_meta(meta))
            case "prompts/list":
                listed = await every_page(lambda page: client.list_prompts(params=page))
                prompts = [item for page in listed for item in page.prompts]
                return types.ListPromptsResult(prompts=prompts, **hints_of(listed))
            case "prompts/get":
                return await client.get_prompt(call.target, call.arguments, meta=_meta(meta))
            case "completion/complete":
                return await client.complete(**call.arguments)

    async def _call_tool(self, call: Call) -> ToolResult:
        params = types.CallToolRequestParams(name=call.target, arguments=call.arguments, _meta=_meta(call.meta))
        # Not the SDK's call_tool: for a tool it has not listed it lists again after the call, and fails the call when
        # that fails, although the tool has run.
        result = await self._client.send_request(
            types.CallToolRequest(params=params), _TOOL_ANSWER, progress_callback=call.progress
        )
        if isinstance(result, types.InputRequiredResult):
            words = f"tool {call.name!r} asks for input, and no handler for input is configured"
            raise InvalidResult(words, tool=call.name, server=call.server)
        if not result.is_error and call.result_problems is not None:
            _check(result, call.result_problems)
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
        return [shown(tool, self._endpoint.secrets) for page in pages for tool in page.tools]

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
            words = presentable(await self._explain(error, wire), self._endpoint)
            raise SessionFailed(words) from cause_of(error, self._secrets)
        finally:
            CURRENT_WIRE.reset(token)

    @property
    def can_watch(self) -> bool:
        """Whether `watch` is how this server tells of changes."""
        return self.is_modern and bool(announced(self.capabilities))


def _check(result: ToolResult, problems: Callable[[Any], tuple[str, ...]]) -> None:
    # Not by the SDK's validate_tool_result: the schema is the server's too, and with a pattern or references made for
    # it that one never comes to an end, and everybody waits.
    if "structured_content" not in result.model_fields_set:
        msg = "it has an output schema, and the result has no structured content"
        raise RuntimeError(msg)
    if found := problems(result.structured_content):
        raise RuntimeError("; ".join(found))


def _meta(meta: Mapping[str, Any] | None) -> types.RequestParamsMeta | None:
    # The SDK's typed dictionary names only its own key; `_meta` is open to any other.
    return None if meta is None else cast("types.RequestParamsMeta", dict(meta))
