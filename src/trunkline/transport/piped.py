"""Calls of tools over stdio: what answers one goes from the reader of the child's output straight to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions, Dispatcher, coerce_request_id
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    CONNECTION_CLOSED,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from trunkline.transport.outbox import Outbox
from trunkline.transport.short_way import ShortWay, result_in
from trunkline.transport.wire import Wire

__all__ = ["Answers", "PipedCalls"]


@dataclass(slots=True, eq=False)
class _Awaited:
    """An answer on its way; there is none where the connection has ended first."""

    message: JSONRPCResponse | JSONRPCError | None = None
    has_come: anyio.Event = field(default_factory=anyio.Event)


class Answers:
    """Those that are waited for, by the ids of their requests."""

    def __init__(self) -> None:
        self._awaited: dict[RequestId, _Awaited] = {}

    def __repr__(self) -> str:
        return f"<Answers [{len(self._awaited)} awaited]>"

    def take(self, message: SessionMessage | Exception) -> bool:
        """Hand a message to who waits for it; whether somebody does."""
        found = message.message if isinstance(message, SessionMessage) else None
        if not isinstance(found, JSONRPCResponse | JSONRPCError) or found.id is None:
            return False
        awaited = self._awaited.pop(coerce_request_id(found.id), None)
        if awaited is None:
            return False
        awaited.message = found
        awaited.has_come.set()
        return True

    def expect(self, request_id: RequestId) -> _Awaited:
        """Wait for the answer to this request, which has not been sent yet."""
        awaited = self._awaited[request_id] = _Awaited()
        return awaited

    def forget(self, request_id: RequestId) -> None:
        """Wait no more."""
        self._awaited.pop(request_id, None)

    def end(self) -> None:
        """None will come any more."""
        for awaited in self._awaited.values():
            awaited.has_come.set()


class PipedCalls(ShortWay):
    """The short way over stdio, in either era."""

    def __init__(self, inner: Dispatcher[TransportContext], outbox: Outbox, answers: Answers) -> None:
        """Write to `outbox`; whoever reads shows each message to `answers` before it goes to `inner`."""
        super().__init__(inner)
        self._outbox = outbox
        self._answers = answers
        self._has_ended = False

    async def _call(self, message: Mapping[str, Any], opts: CallOptions, wire: Wire) -> dict[str, Any] | None:
        if self._has_ended:
            raise _closed()
        request_id = opts["request_id"]
        awaited = self._answers.expect(request_id)
        try:
            await self._outbox.send(SessionMessage(JSONRPCRequest.model_validate(message)))
            await awaited.has_come.wait()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise _closed() from None
        except anyio.get_cancelled_exc_class():
            # Never waits: the outbox takes it at once, and withdraws a request that has not been written.
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await self._outbox.send(_cancelling(request_id))
            raise
        finally:
            self._answers.forget(request_id)
        if awaited.message is None:
            raise _closed()
        return result_in(awaited.message)

    def _ended(self) -> None:
        self._has_ended = True
        self._answers.end()


def _closed() -> MCPError:
    """In the SDK's words, which are explained further up by what is known of the child."""
    return MCPError(CONNECTION_CLOSED, "Connection closed")


def _cancelling(request_id: RequestId) -> SessionMessage:
    params = {"requestId": request_id, "reason": "caller cancelled"}
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))
