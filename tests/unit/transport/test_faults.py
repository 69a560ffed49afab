"""The fault table: every way an attempt can fail, the error it becomes, and what is known about delivery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR

from trunkline import CallFailed, ConnectionLost, Delivery, InvalidResult, ServerError
from trunkline.call import Call
from trunkline.secrets import Secrets
from trunkline.transport.faults import cause_of, is_lost_session, is_unreachable, translate
from trunkline.transport.wire import Wire

STAND_IN = "Server returned an error response"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    what: str
    error: Exception
    wire: Wire
    kind: type[CallFailed]
    delivery: Delivery
    says: str
    details: dict[str, Any] = field(default_factory=dict)


def sent(**noted: Any) -> Wire:
    return Wire(delivery=Delivery.UNKNOWN, **noted)


TABLE = (
    Row(
        "connection refused",
        MCPError(INTERNAL_ERROR, STAND_IN),
        Wire(fault=httpx2.ConnectError("refused")),
        ConnectionLost,
        Delivery.NOT_SENT,
        "(ConnectError: refused)",
    ),
    Row(
        "reset after sending",
        MCPError(INTERNAL_ERROR, STAND_IN),
        sent(fault=httpx2.ReadError("reset")),
        ConnectionLost,
        Delivery.UNKNOWN,
        "(ReadError: reset)",
    ),
    Row(
        "cut body of a good answer",
        MCPError(PARSE_ERROR, "Failed to parse JSON response"),
        sent(status=200, fault=httpx2.RemoteProtocolError("incomplete")),
        ConnectionLost,
        Delivery.UNKNOWN,
        "incomplete",
    ),
    Row(
        "HTTP 429",
        MCPError(INTERNAL_ERROR, STAND_IN),
        sent(status=429, retry_after=2.0),
        ServerError,
        Delivery.REFUSED,
        "asks to slow down (HTTP 429)",
        {"retry_after": 2.0, "is_overload": True},
    ),
    Row(
        "HTTP 503 with Retry-After",
        MCPError(INTERNAL_ERROR, STAND_IN),
        sent(status=503, retry_after=0.0),
        ServerError,
        Delivery.REFUSED,
        "HTTP 503",
        {"retry_after": 0.0, "is_overload": True},
    ),
    Row(
        "HTTP 503 without",
        MCPError(INTERNAL_ERROR, STAND_IN),
        sent(status=503),
        ServerError,
        Delivery.UNKNOWN,
        "HTTP 503",
        {"is_overload": True},
    ),
    Row(
        "HTTP 500 with words",
        MCPError(-32050, "disk full"),
        sent(status=500),
        ServerError,
        Delivery.UNKNOWN,
        "(HTTP 500) (disk full)",
        {"error_code": -32050, "status": 500, "is_overload": False},
    ),
    Row(
        "HTTP 401",
        MCPError(INTERNAL_ERROR, STAND_IN),
        sent(status=401),
        ServerError,
        Delivery.REFUSED,
        "check the configured headers or auth (HTTP 401)",
    ),
    Row(
        "closed by the SDK",
        MCPError(CONNECTION_CLOSED, "Connection closed"),
        sent(),
        ConnectionLost,
        Delivery.UNKNOWN,
        "ended before the answer",
    ),
    Row(
        "closed by the SDK before it was written",
        MCPError(CONNECTION_CLOSED, "Connection closed"),
        Wire(),
        ConnectionLost,
        Delivery.NOT_SENT,
        "ended before the answer",
    ),
    Row(
        "an event stream that ended early",
        MCPError(CONNECTION_CLOSED, "SSE stream ended without a response"),
        sent(status=200),
        ConnectionLost,
        Delivery.UNKNOWN,
        "ended before the answer",
    ),
    Row(
        "the server's own error with the same code",
        MCPError(CONNECTION_CLOSED, "the printer is offline"),
        sent(),
        ServerError,
        Delivery.ANSWERED,
        "error -32000: the printer is offline",
        {"error_code": -32000},
    ),
    Row(
        "garbage",
        MCPError(PARSE_ERROR, "Failed to parse JSON response"),
        sent(status=200),
        InvalidResult,
        Delivery.ANSWERED,
        "not JSON-RPC",
    ),
    Row(
        "an error of the protocol",
        MCPError(-32602, "no such thing", {"thing": 1}),
        sent(),
        ServerError,
        Delivery.ANSWERED,
        "error -32602: no such thing",
        {"error_code": -32602, "data": {"thing": 1}, "status": None},
    ),
    Row(
        "a result against the schema",
        RuntimeError("Invalid structured content\nand a long story"),
        sent(),
        InvalidResult,
        Delivery.ANSWERED,
        "no valid result: Invalid structured content",
    ),
    Row("a value that does not fit", ValueError(), sent(), InvalidResult, Delivery.ANSWERED, "ValueError"),
    Row(
        "a stream closed under the request",
        anyio.ClosedResourceError(),
        Wire(),
        ConnectionLost,
        Delivery.NOT_SENT,
        "ended",
    ),
)


def call() -> Call:
    return Call(id="1", method="tools/call", name="s_x", arguments={}, domain="d", started=0, deadline=1, server="s")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_a_failure_becomes_one_of_ours_and_says_what_is_known_about_delivery(row: Row) -> None:
    incident = object()

    error = translate(row.error, call(), row.wire, incident=incident, secrets=Secrets())

    assert type(error) is row.kind
    assert error.delivery is row.delivery
    assert row.says in str(error)
    assert (error.server, error.tool) == ("s", "s_x")
    for name, value in row.details.items():
        assert getattr(error, name) == value
    # One lost connection is one failure, however many calls were on it; an answer is nobody else's.
    assert error.incident is (incident if row.kind is ConnectionLost else None)


@pytest.mark.parametrize(
    ("fault", "is_gone"),
    [
        (httpx2.ConnectError(""), True),
        (httpx2.ConnectTimeout(""), True),
        (httpx2.ReadError(""), False),
        (httpx2.PoolTimeout(""), False),
        (None, False),
    ],
)
def test_only_a_refused_or_silent_address_is_unreachable(fault: Exception | None, *, is_gone: bool) -> None:
    assert is_unreachable(Wire(fault=fault)) is is_gone


@pytest.mark.parametrize(
    ("status", "message", "has_session", "is_lost"),
    [
        (404, "Session not found", True, True),
        (404, "", True, True),
        (400, "Bad Request: No valid session ID provided", True, True),
        (400, "Bad Request", True, False),
        (404, "Session not found", False, False),
        (200, "session", True, False),
    ],
)
def test_a_forgotten_session_is_told_from_other_refusals(
    status: int, message: str, *, has_session: bool, is_lost: bool
) -> None:
    error = MCPError(INVALID_REQUEST, message)

    assert is_lost_session(error, sent(status=status), has_session=has_session) is is_lost
    assert is_lost_session(ValueError(message), sent(status=status), has_session=has_session) is False


SECRETS = Secrets(["hunter2-planted"])


def test_what_a_server_says_again_of_its_credentials_is_in_no_error_and_not_in_its_cause() -> None:
    said = MCPError(-32050, "you sent hunter2-planted", {"headers": ["hunter2-planted"], "n": 1})
    error = translate(said, call(), sent(), incident=object(), secrets=SECRETS)
    assert isinstance(error, ServerError)
    assert "answered 's_x' with error -32050: you sent [redacted]" in str(error)
    assert error.data == {"headers": ["[redacted]"], "n": 1}
    cause = cause_of(said, SECRETS)
    assert isinstance(cause, MCPError)
    assert (cause.code, cause.message) == (-32050, "you sent [redacted]")


def test_an_error_that_is_translated_keeps_its_cause_only_where_that_holds_no_secret() -> None:
    harmless = ValueError("no field result")
    assert cause_of(harmless, SECRETS) is harmless
    assert cause_of(ValueError("input_value='hunter2-planted'"), SECRETS) is None
    error = translate(ValueError("input_value='hunter2-planted'"), call(), sent(), incident=object(), secrets=SECRETS)
    assert str(error).endswith("no valid result: input_value='[redacted]'")
