"""Calls of tools in the stateless era: answered by the task that took the request in, without the SDK's queues.

Stands before the SDK's endpoint and hands on whatever is not simply that, to be answered or refused there: other
methods, other eras, and every request that something is wrong with (docs/decisions/0023). What a call means, and what
its answer looks like, is the same server's to say on both ways.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import modern_error_data, serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.exchanges import Exchange, Exchanges

__all__ = ["DirectCalls"]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a tool that nothing is wrong with."""

    id: types.RequestId
    params: dict[str, Any]
    route: InboundModernRoute


class DirectCalls:
    """ASGI application before another one, which is given requests whose bodies are complete."""

    def __init__(self, app: ASGIApp, server: Server[None], exchanges: Exchanges) -> None:
        """Have `server` answer the calls, and `app` everything else; `exchanges` looks after those that take long."""
        self._app = app
        self._server = server
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or pass the request on."""
        if scope["method"] != "POST" or _version_in(scope) not in MODERN_PROTOCOL_VERSIONS:
            await self._app(scope, receive, send)
            return
        message = await receive()
        request = Request(scope)
        call = self._read(request, message)
        if call is None:
            told = [message]

            async def replay() -> Message:
                return told.pop() if told else await receive()

            await self._app(scope, replay, send)
            return
        exchange = Exchange(request, call.id, call.params, send)
        with self._exchanges.looking_after(exchange, receive):
            await self._answer(call, exchange)

    def _read(self, request: Request, message: Message) -> _Call | None:
        """The call that a request is; None for anything else, and for what the SDK has to refuse."""
        try:
            sent = json.loads(message.get("body", b""))
        except (ValueError, RecursionError):
            return None
        match sent:
            case {"jsonrpc": "2.0", "id": str() | int() as asked, "method": "tools/call", "params": dict() as params}:
                route = self._route(request, sent, params)
                return None if route is None or isinstance(asked, bool) else _Call(asked, params, route)
            case _:
                return None

    def _route(self, request: Request, sent: dict[str, Any], params: dict[str, Any]) -> InboundModernRoute | None:
        headers = request.headers
        if not all(check_accept_headers(request)) or find_duplicated_routing_header(headers.items()) is not None:
            return None
        route = classify_inbound_request(sent, headers=dict(headers))
        name, arguments, lookup = params.get("name"), params.get("arguments", {}), self._server.get_tool_input_schema
        if not (isinstance(route, InboundModernRoute) and isinstance(name, str) and isinstance(arguments, dict)):
            return None
        schema = lookup(name) if lookup else None
        if schema is not None and validate_mcp_param_headers(schema, arguments, headers) is not None:
            return None
        return route

    async def _answer(self, call: _Call, exchange: Exchange) -> None:
        route = call.route
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        status = 200
        try:
            result = await serve_one(
                self._server, exchange, "tools/call", call.params, connection=connection, lifespan_state=None
            )
        except Exception as error:  # boundary: as in the SDK's endpoint, an error of JSON-RPC
            told = modern_error_data(error)
            status = ERROR_CODE_HTTP_STATUS.get(told.code, 200)
            answer: dict[str, Any] = {"error": told.model_dump(mode="json", exclude_none=True)}
        else:
            answer = {"result": result}
        await exchange.end({"jsonrpc": "2.0", "id": call.id, **answer}, status)


def _version_in(scope: Scope) -> str | None:
    name = MCP_PROTOCOL_VERSION_HEADER.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
