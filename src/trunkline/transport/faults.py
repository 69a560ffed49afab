"""Their failures to ours: the one table. Sits at the border between the SDK and everything above.

Every row decides two things: the error's class, and what is known about delivery.
"""

from __future__ import annotations

import httpx2
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, PARSE_ERROR
from pydantic import ValidationError

from trunkline.call import Call, Delivery
from trunkline.errors import CallError, CallFailed, ConnectionLost, InvalidResult, ServerError, ServerUnavailable
from trunkline.secrets import Secrets
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.network import describe
from trunkline.transport.wire import Wire

__all__ = ["cause_of", "is_closed_by_sdk", "is_lost_session", "is_unreachable", "translate"]

_CLOSED_BY_SDK = ("Connection closed", "SSE stream")
"""How the SDK's own messages for a lost connection begin; any other -32000 is the server's own error."""
_STAND_IN = "Server returned an error response"
"""The SDK's message for an HTTP error without a JSON-RPC body."""

_STATUS_WORDS = {
    401: "is not authorised: check the configured headers or auth",
    403: "is forbidden: check the configured headers or auth",
    404: "was not found: check the configured url",
    413: "is too large for the server",
    429: "came too soon: the server asks to slow down",
    503: "met a server that is overloaded or starting",
}


def is_unreachable(wire: Wire) -> bool:
    """Whether nothing listens at the address: no point in trying other calls on this connection."""
    return isinstance(wire.fault, httpx2.ConnectError | httpx2.ConnectTimeout)


def is_lost_session(error: Exception, wire: Wire, *, has_session: bool) -> bool:
    """Whether a handshake-era server has forgotten our session: 404 by the specification, 400 in the wild."""
    if not has_session or not isinstance(error, MCPError):
        return False
    return wire.status == 404 or (wire.status == 400 and "session" in error.message.lower())


def is_closed_by_sdk(error: MCPError) -> bool:
    """Whether the SDK says that the connection is gone: servers use the same code for refusals of their own."""
    return error.code == CONNECTION_CLOSED and error.message.startswith(_CLOSED_BY_SDK)


def translate(error: Exception, call: Call, wire: Wire, *, incident: object, secrets: Secrets) -> CallError:
    """The error to raise for one failed attempt; `incident` identifies the connection it was made on.

    A server may say again what it was given: `secrets` is what must not be in the error.
    """
    if isinstance(wire.fault, AuthorizationFailed):
        # Says nothing of the server, and waiting is the token's business: refused here, as without a connection.
        words = f"server {call.server!r} cannot be asked: {secrets.mask(str(wire.fault))}"
        return ServerUnavailable(words, tool=call.name, server=call.server, retry_after=wire.fault.retry_after)
    if wire.fault is not None:
        words = f"the connection to server {call.server!r} failed ({secrets.mask(describe(wire.fault))})"
        return ConnectionLost(words, delivery=wire.delivery, incident=incident, tool=call.name, server=call.server)
    if isinstance(error, MCPError):
        return _translate_answer(_masked(error, secrets), call, wire, incident)
    if isinstance(error, ValidationError | RuntimeError | ValueError):
        problem = _first_line(error, secrets)
        return InvalidResult(
            f"server {call.server!r} answered {call.name!r} with no valid result: {problem}",
            tool=call.name,
            server=call.server,
        )
    # A stream of the SDK that was closed under the request: the connection ended while it was handed over.
    return ConnectionLost(
        f"the connection to server {call.server!r} ended",
        delivery=wire.delivery,
        incident=incident,
        tool=call.name,
        server=call.server,
    )


def _translate_answer(error: MCPError, call: Call, wire: Wire, incident: object) -> CallFailed:
    if wire.status is not None and wire.status >= 400:
        return _translate_status(error, call, wire.status, wire.retry_after)
    if is_closed_by_sdk(error):
        words = f"the connection to server {call.server!r} ended before the answer"
        return ConnectionLost(words, delivery=wire.delivery, incident=incident, tool=call.name, server=call.server)
    if error.code == PARSE_ERROR:
        words = f"server {call.server!r} answered {call.name!r} with something that is not JSON-RPC"
        return InvalidResult(words, tool=call.name, server=call.server)
    words = f"server {call.server!r} answered {call.name!r} with error {error.code}: {error.message}"
    return ServerError(
        words, error_code=error.code, data=error.data, status=wire.status, tool=call.name, server=call.server
    )


def _translate_status(error: MCPError, call: Call, status: int, retry_after: float | None) -> CallFailed:
    if status == 429 or (status == 503 and retry_after is not None) or status < 500:
        delivery = Delivery.REFUSED
    else:
        delivery = Delivery.UNKNOWN
    detail = "" if error.message.startswith(_STAND_IN) else f" ({error.message})"
    meaning = _STATUS_WORDS.get(status, "failed")
    return ServerError(
        f"the request to server {call.server!r} {meaning} (HTTP {status}){detail}",
        error_code=error.code,
        data=error.data,
        status=status,
        delivery=delivery,
        retry_after=retry_after,
        tool=call.name,
        server=call.server,
    )


def cause_of(error: Exception, secrets: Secrets) -> Exception | None:
    """What a translated error may be raised from: nothing where its words hold a secret that cannot be taken out."""
    if isinstance(error, MCPError):
        return _masked(error, secrets)
    words = str(error)
    return error if secrets.mask(words) == words else None


def _masked(error: MCPError, secrets: Secrets) -> MCPError:
    message, data = secrets.mask(error.message), secrets.mask_value(error.data)
    return error if (message, data) == (error.message, error.data) else MCPError(error.code, message, data)


def _first_line(error: Exception, secrets: Secrets) -> str:
    lines = secrets.mask(str(error)).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
