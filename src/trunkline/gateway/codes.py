"""Our errors as JSON-RPC errors: one code for each class, and what a program needs to decide what to do next.

    31001  CallRejected         31011  CallFailed
    31002  CircuitOpen          31012  AttemptTimeout
    31003  BulkheadFull         31013  ConnectionLost
    31004  ServerUnavailable    31014  ServerError
    31005  RateLimited          31015  InvalidResult
    31006  ToolRefused
    31007  GatewayStopping, said by `admission`: no error of a call
    31021  DeadlineExceeded     -32602 ToolNotFound (the protocol's own code for an unknown tool)
    31000  CallError

All but that of `ToolNotFound` lie outside -32768..-32000, the range that JSON-RPC and MCP keep for themselves (MCP
2026-07-28, "Error codes"). 3100x and 3101x tell apart what has not run from what may have; `data` says it each time.
`InvalidArguments` is no error on the wire: it becomes a result that tells the model what to mend.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import mcp_types as types
from mcp.server.context import HandlerResult

from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CallFailed,
    CallRejected,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidResult,
    RateLimited,
    ServerError,
    ServerUnavailable,
    ToolNotFound,
    ToolRefused,
)

__all__ = [
    "CODES",
    "FORWARDED",
    "MISTAKES",
    "STOPPING",
    "broken_off",
    "code_of",
    "data_of",
    "is_tool_error",
    "message_of",
    "stopping",
]

CODES: Final = MappingProxyType(
    {
        CallError: 31000,
        CallRejected: 31001,
        CircuitOpen: 31002,
        BulkheadFull: 31003,
        ServerUnavailable: 31004,
        RateLimited: 31005,
        ToolRefused: 31006,
        CallFailed: 31011,
        AttemptTimeout: 31012,
        ConnectionLost: 31013,
        ServerError: 31014,
        InvalidResult: 31015,
        DeadlineExceeded: 31021,
        ToolNotFound: -32602,
    }
)
"""The JSON-RPC code of each class of error; a class that is not named here has its parent's."""

STOPPING: Final = 31007
"""A request came to a gateway that ends: nothing was done, or nobody waited for how it went."""

FORWARDED: Final = frozenset({types.MISSING_REQUIRED_CLIENT_CAPABILITY, types.URL_ELICITATION_REQUIRED})
"""A server's own errors that its client has to understand: they are passed on as they are, with their data."""

MISTAKES: Final = frozenset({-32700, -32600, -32601, -32602, -32002})
"""Codes for a mistake of the caller, which the conventions do not count as errors of the server that says so."""


def stopping(message: str, *, retry_after: float | None) -> dict[str, Any]:
    """The error of a gateway that ends: nothing has run where another one may be asked after so many seconds."""
    data = {"error": "GatewayStopping", "may_have_run": retry_after is None, "retry_after": retry_after}
    return {"code": STOPPING, "message": message, "data": data}


def broken_off() -> dict[str, Any]:
    """The error of a request that was under way when the gateway ended."""
    return stopping("the gateway has stopped before this was answered; it may have run", retry_after=None)


def is_tool_error(result: HandlerResult) -> bool:
    """Whether what a handler returned says that a tool failed; a handler may return a model or what goes out."""
    match result:
        case types.CallToolResult(is_error=True) | {"isError": True}:
            return True
        case _:
            return False


def code_of(error: CallError) -> int:
    """Return the code of the nearest class in `CODES`."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def message_of(error: CallError) -> str:
    """Return the error's own words, with the names that may have been meant."""
    if isinstance(error, ToolNotFound) and error.suggestions:
        meant = ", ".join(name for name in error.suggestions if name not in str(error))
        return f"{error}; nearest names: {meant}" if meant else str(error)
    return str(error)


def data_of(error: CallError) -> dict[str, Any]:
    """Return `error` (the class), `may_have_run`, `retry_after` (seconds or None), `server`, `tool` and `attempts`."""
    return {
        "error": error.code,
        "may_have_run": error.may_have_run,
        "retry_after": error.retry_after,
        "server": error.server,
        "tool": error.tool,
        "attempts": error.attempts,
    }
