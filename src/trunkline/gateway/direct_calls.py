"""Calls of tools, answered by the task that took the request in, without the SDK's queues.

Stands before `admission`, and with it before the SDK's endpoint, and hands on whatever is not simply that, to be
answered or refused there: other methods, clients of the handshake era that can be asked something, and every request
that something is wrong with (docs/decisions/0023). What a call means, and what its answer looks like, is the same
server's to say on both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundModernRoute,
    classify_inbound_request,
    validate_mcp_param_headers,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from trunkline import clock
from trunkline.afterwards import Afterwards
from trunkline.gateway.admission import Admission
from trunkline.gateway.codes import STOPPING
from trunkline.gateway.exchanges import Exchange
from trunkline.gateway.intake import replayed
from trunkline.gateway.sessions import DirectSession, DirectSessions

__all__ = ["DirectCalls"]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a tool that nothing is wrong with."""

    id: types.RequestId
    params: dict[str, Any]
    connection: Connection
    session: DirectSession | None


class DirectCalls:
    """ASGI application before another one, which is given requests whose bodies are complete."""

    def __init__(self, app: Admission, server: Server[None], sessions: DirectSessions) -> None:
        """Have `server` answer the calls while the gateway takes any, and `app` everything else."""
        self._app = app
        self._server = server
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or pass the request on."""
        if scope["method"] != "POST" or not self._app.is_open:
            await self._app(scope, receive, send)
            return
        message = await receive()
        call = self._read(scope, message)
        if call is None:
            await self._app(scope, replayed(message, receive), send)
            return
        session = call.session.key if call.session else None
        exchange = Exchange(Request(scope), call.id, call.params, send, session=session)
        with Afterwards():
            answer: Mapping[str, Any] | None = None
            with self._app.exchanges.looking_after(exchange, receive):
                answer = await exchange.answer(self._server, call.connection)
            answer = answer or exchange.instead
            status = _status_of(answer["error"]["code"], call) if "error" in answer else 200
            await exchange.end({"jsonrpc": "2.0", "id": call.id, **answer}, status)

    def _read(self, scope: Scope, message: Message) -> _Call | None:
        """The call that a request is; None for anything else, and for what the SDK has to refuse."""
        raw = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        is_modern = headers.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS
        session = None if is_modern else self._sessions.of(scope, headers)
        if not is_modern and session is None:
            return None
        try:
            sent = from_json(message.get("body", b""))
        except ValueError:
            return None
        connection = None
        match sent:
            case {"jsonrpc": "2.0", "id": str() | int() as asked, "method": "tools/call", "params": dict() as params}:
                # One that is there twice may be read in two ways.
                is_clear = len(headers) == len(raw) and not isinstance(asked, bool)
                if is_clear and _takes_streams(headers.get("accept", "")):
                    connection = _of_session(session, headers) if session else self._of_request(headers, sent, params)
                if connection is not None and (session is None or self._sessions.is_known_alive(session)):
                    return _Call(asked, params, connection, session)
            case {"method": "notifications/cancelled", "params": {"requestId": str() | int() as asked}} if session:
                self._app.exchanges.cancel(session.key, asked)
        if session is not None:
            session.seen = clock.now()
        return None

    def _of_request(
        self, headers: Mapping[str, str], sent: dict[str, Any], params: dict[str, Any]
    ) -> Connection | None:
        """As which client a call of the stateless era is made: it says so itself."""
        route = classify_inbound_request(sent, headers=headers)
        name, arguments, lookup = params.get("name"), params.get("arguments", {}), self._server.get_tool_input_schema
        if not (isinstance(route, InboundModernRoute) and isinstance(name, str) and isinstance(arguments, dict)):
            return None
        schema = lookup(name) if lookup else None
        if schema is not None and validate_mcp_param_headers(schema, arguments, headers) is not None:
            return None
        return Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)


def _status_of(code: int, call: _Call) -> int:
    if code == STOPPING:
        return 500
    return 200 if call.session else ERROR_CODE_HTTP_STATUS.get(code, 200)


@lru_cache(maxsize=64)
def _takes_streams(accept: str) -> bool:
    """Whether a client takes both kinds of answers."""
    return all(check_accept_headers(Request({"type": "http", "headers": [(b"accept", accept.encode("latin-1"))]})))


def _of_session(session: DirectSession, headers: Mapping[str, str]) -> Connection | None:
    """As which client a call of a session is made: as the one whose handshake it was."""
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if not is_json or headers.get(MCP_PROTOCOL_VERSION_HEADER) != session.version:
        return None
    return Connection.from_envelope(session.version, session.client, session.capabilities)
