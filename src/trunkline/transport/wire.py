"""What is known about one request on the wire, and the dispatcher that keeps track of it.

Sits between the SDK's session and its stream dispatcher. The SDK forgets whether a request was written, which HTTP
status came back and why a body ended early; retry needs to know, so every request gets a `Wire` that the transports
fill in, found by the request's id.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from mcp.shared.dispatcher import CallOptions, Dispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    LOG_LEVEL_META_KEY,
    LoggingLevel,
    LoggingMessageNotificationParams,
)

from trunkline.call import Delivery
from trunkline.transport.wrapping import WrappingDispatcher

__all__ = ["CURRENT_WIRE", "REQUEST_HEADER", "WIRE_EXTENSION", "TrackingDispatcher", "Wire", "Wires", "hear_log"]

REQUEST_HEADER = "x-trunkline-request"
"""Carries a request's id from the dispatcher to our HTTP transport, which takes it off again: never sent."""
WIRE_EXTENSION: Final = "trunkline.wire"
"""Under which an HTTP request of ours carries its `Wire` to the transports below."""


@dataclass(slots=True)
class Wire:
    """One request on its way: filled in by the transport while it happens."""

    delivery: Delivery = Delivery.NOT_SENT
    status: int | None = None
    """HTTP status of the answer."""
    retry_after: float | None = None
    """Seconds the server asked to wait."""
    fault: Exception | None = None
    """What broke the exchange below the protocol: refused, reset, cut."""
    capabilities: Mapping[str, Any] | None = None
    """What the server is told that its client can do; None for what the session says, which is nothing."""
    log_level: LoggingLevel | None = None
    """From which level on the server is to tell what it logs, in the stateless era; None for nothing."""
    log: Callable[[LoggingMessageNotificationParams], Awaitable[None]] | None = None
    """Told what the server logs for this request; None where nobody is."""

    def sent(self) -> None:
        """From here on the server may have got it."""
        self.delivery = Delivery.UNKNOWN

    def refused(self) -> None:
        """The server wants other credentials first: it has not run, and may be sent again."""
        self.delivery = Delivery.NOT_SENT


Wires = dict[str, Wire]
"""Requests under way on one connection, by request id."""

CURRENT_WIRE: ContextVar[Wire | None] = ContextVar("trunkline_wire", default=None)
"""The record for the next request this task sends."""


class TrackingDispatcher(WrappingDispatcher):
    """Gives every request an unguessable id and a `Wire`, and says when the connection has ended.

    The ids are random so that a server that answers with a wrong id (its last one, one too many) cannot answer some
    other request that happens to be in flight. They stay below 2^31 for servers with narrow integers.
    """

    def __init__(
        self,
        inner: Dispatcher[TransportContext],
        wires: Wires,
        rng: random.Random,
        *,
        latest: deque[Any],
        on_end: Callable[[], None],
    ) -> None:
        """Stand before `inner`; `latest` is given the arguments of each call."""
        super().__init__(inner)
        self._wires = wires
        self._rng = rng
        self._latest = latest
        self._on_end = on_end

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send one request; as the SDK's, with the id and the record added."""
        if params and (arguments := params.get("arguments")):
            self._latest.append(arguments)
        options: CallOptions = {**opts} if opts else {}
        request_id = options.get("request_id")
        if request_id is None:
            request_id = self._rng.getrandbits(31)
            while str(request_id) in self._wires:
                request_id = self._rng.getrandbits(31)
            options["request_id"] = request_id
        options["headers"] = {**options.get("headers", {}), REQUEST_HEADER: str(request_id)}
        wire = CURRENT_WIRE.get() or Wire()
        if wire.capabilities is not None and params is not None:
            params = _declaring(wire.capabilities, wire.log_level, method, params)
        self._wires[str(request_id)] = wire
        try:
            return await super().send_raw_request(method, params, options)
        finally:
            self._wires.pop(str(request_id), None)

    def _ended(self) -> None:
        self._on_end()


def _declaring(
    capabilities: Mapping[str, Any], log_level: LoggingLevel | None, method: str, params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The same request as by a client with these capabilities: the SDK's session says only what it can do itself."""
    if method == "initialize":
        return {**params, "capabilities": capabilities}
    meta = params.get("_meta", {})
    if CLIENT_CAPABILITIES_META_KEY not in meta:
        return params
    wanted = {} if log_level is None else {LOG_LEVEL_META_KEY: log_level}
    return {**params, "_meta": {**meta, CLIENT_CAPABILITIES_META_KEY: capabilities, **wanted}}


async def hear_log(entry: LoggingMessageNotificationParams) -> None:
    """Pass on what a server logs for the request in whose context it came; what came in none is nobody's."""
    wire = CURRENT_WIRE.get()
    if wire is not None and wire.log is not None:
        await wire.log(entry)
