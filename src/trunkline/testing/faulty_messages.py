"""JSON-RPC messages as plain mappings, for servers that use no SDK. Runs as part of a bare script."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = [
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "NO_MESSAGE",
    "PARSE_ERROR",
    "Json",
    "RpcError",
    "cancelled_id",
    "message",
    "rpc_response",
]

Json: TypeAlias = dict[str, Any]

INVALID_REQUEST = -32600
INVALID_PARAMS = -32602


class RpcError(Exception):
    """Answered to the client as a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    @property
    def body(self) -> Json:
        """The `error` member of the response."""
        error = {"code": self.code, "message": str(self)}
        return error if self.data is None else {**error, "data": self.data}


PARSE_ERROR = RpcError(-32700, "Parse error")
NO_MESSAGE = RpcError(INVALID_REQUEST, "Not a message")


def message(method: str, params: Json | None = None) -> Json:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


def rpc_response(request_id: int | str | None, outcome: Json | RpcError) -> Json:
    """The response to a request: its result, or its error. The id is None where none could be read."""
    member = {"error": outcome.body} if isinstance(outcome, RpcError) else {"result": outcome}
    return {"jsonrpc": "2.0", "id": request_id, **member}


def cancelled_id(notification: Json) -> Any:
    """The id of the request a message gives up; None when it does no such thing."""
    if notification.get("method") != "notifications/cancelled":
        return None
    return notification.get("params", {}).get("requestId")
