"""Calls of tools over standard input and output, answered by a task of their own, without the SDK's queues.

As `direct_calls` over HTTP: what is not simply a call is left to the SDK, which also has the first word. With the first
request it decides of which era a connection is; in the handshake era calls come here once the handshake is done, from
clients that can be asked nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp.shared.transport_context import TransportContext
from pydantic_core import from_json

from trunkline.afterwards import Afterwards
from trunkline.gateway.codes import broken_off
from trunkline.gateway.direct_request import DirectRequest, as_json
from trunkline.gateway.line_output import LineOutput
from trunkline.gateway.sessions import DirectSessions

__all__ = ["DirectLines"]


class DirectLines:
    """The calls of one connection that are under way."""

    def __init__(self, server: Server[None], sessions: DirectSessions, output: LineOutput, tasks: TaskGroup) -> None:
        """Have `server` answer calls to `output`, in `tasks`."""
        self._server = server
        self._sessions = sessions
        self._output = output
        self._tasks = tasks
        self._open: dict[types.RequestId, _PipedRequest] = {}
        self._is_modern: bool | None = None
        """Of which era the connection is; None before the first request."""

    def __repr__(self) -> str:
        return f"<DirectLines [{len(self._open)} open]>"

    def take(self, line: bytes) -> bool:
        """Whether a line is a call that is answered here."""
        try:
            sent = from_json(line)
        except ValueError:
            return False
        match sent:
            case {"jsonrpc": "2.0", "id": str() | int() as asked, "method": "tools/call", "params": dict() as params}:
                connection = None if isinstance(asked, bool) else self._connection_of(params)
                if connection is not None:
                    request = _PipedRequest(asked, params, self._output, can_be_asked=not self._is_modern)
                    self._open[coerce_request_id(asked)] = request
                    self._tasks.start_soon(self._answer, request, connection)
                    return True
            case {"method": "notifications/cancelled", "params": {"requestId": str() | int() as asked}}:
                if (found := self._open.get(coerce_request_id(asked))) is not None:
                    found.scope.cancel()
        return False

    def note(self, message: types.JSONRPCMessage) -> None:
        """Hear what the SDK is handed: with the first request it decides of which era the connection is."""
        if self._is_modern is None and isinstance(message, types.JSONRPCRequest):
            self._is_modern = message.method != "initialize" and _has_envelope(message.params or {})

    def _connection_of(self, params: Mapping[str, Any]) -> Connection | None:
        """As which client a call is made; None where the SDK has to see it."""
        if self._is_modern:
            route = classify_inbound_request({"method": "tools/call", "params": params})
            if not isinstance(route, InboundModernRoute):
                return None
            return Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        session = self._sessions.on_pipe
        if self._is_modern is None or session is None or _has_envelope(params):
            return None
        return Connection.from_envelope(session.version, session.client, session.capabilities)

    async def _answer(self, request: _PipedRequest, connection: Connection) -> None:
        answer: dict[str, Any] | None = None
        with Afterwards():
            try:
                with request.scope:
                    answer = await request.answer(self._server, connection)
            except anyio.get_cancelled_exc_class():
                answer = {"error": broken_off()}
                raise
            finally:
                key = coerce_request_id(request.request_id)
                if self._open.get(key) is request:
                    del self._open[key]
                # To one that its client has cancelled there is no answer.
                if answer is not None:
                    self._output.put(request.ended(answer))
        await self._output.room()


class _PipedRequest(DirectRequest):
    """One call and its answer."""

    def __init__(
        self, request_id: types.RequestId, params: Mapping[str, Any], output: LineOutput, *, can_be_asked: bool
    ) -> None:
        super().__init__(request_id, params, TransportContext(kind="jsonrpc", can_send_request=can_be_asked), None)
        self._output = output

    def ended(self, answer: Mapping[str, Any]) -> bytes:
        """The answer as it goes out."""
        return as_json({"jsonrpc": "2.0", "id": self.request_id, **answer})

    async def _tell(self, message: Mapping[str, Any]) -> None:
        await self._output.send(as_json(message))


def _has_envelope(params: Mapping[str, Any]) -> bool:
    """Whether a request says of which revision it is, as those of 2026-07-28 do."""
    meta = params.get("_meta")
    return isinstance(meta, Mapping) and types.PROTOCOL_VERSION_META_KEY in meta
