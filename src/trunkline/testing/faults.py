"""Every fault the faulty servers commit on command, as the arguments of their tool `fault`.

    await client.call_tool("s_fault", faults.crash_after(op="order-7"))

Each concerns the one call that asks for it, a crash excepted. `op` names the operation in the server's journal, which
says afterwards whether it was executed.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

__all__ = [
    "Fault",
    "accepted",
    "big",
    "change_tools",
    "crash_after",
    "crash_before",
    "cut",
    "double",
    "flaky",
    "garbage",
    "hang",
    "hog",
    "html",
    "not_a_result",
    "reset",
    "rpc_body",
    "rpc_error",
    "slow_drip",
    "sse_cut",
    "status",
    "stderr_flood",
    "wrong_id",
    "wrong_schema",
]

Fault: TypeAlias = dict[str, Any]
"""Arguments of the tool `fault`."""


def _fault(kind: str, op: str | None, **details: Any) -> Fault:
    given = {name: value for name, value in details.items() if value is not None}
    return {"kind": kind, **({} if op is None else {"op": op}), **given}


def crash_before(op: str | None = None) -> Fault:
    """The process dies before the side effect."""
    return _fault("crash_before", op)


def crash_after(op: str | None = None) -> Fault:
    """The process dies after the side effect and before the answer."""
    return _fault("crash_after", op)


def hang(op: str | None = None) -> Fault:
    """No answer ever comes; nothing is executed."""
    return _fault("hang", op)


def slow_drip(op: str | None = None, *, delay_ms: int = 20) -> Fault:
    """The answer comes byte by byte, `delay_ms` milliseconds apart."""
    return _fault("slow_drip", op, delay_ms=delay_ms)


def garbage(op: str | None = None, *, invalid: Literal["json", "utf8"] = "json") -> Fault:
    """What comes is not JSON, or not even text."""
    return _fault("garbage", op, invalid=invalid)


def cut(op: str | None = None) -> Fault:
    """Half of the answer comes."""
    return _fault("cut", op)


def wrong_id(op: str | None = None, *, which: Literal["unknown", "in_flight"] = "unknown") -> Fault:
    """The answer carries an id nobody asked with, or that of another request in flight."""
    return _fault("wrong_id", op, which=which)


def wrong_schema(op: str | None = None) -> Fault:
    """The structured content does not fit the tool's output schema."""
    return _fault("wrong_schema", op)


def not_a_result(op: str | None = None, *, shape: Any = None) -> Fault:
    """Where the result should be, `shape` stands; when None, something that is no result."""
    return _fault("not_a_result", op, shape=shape)


def double(op: str | None = None) -> Fault:
    """The answer comes twice."""
    return _fault("double", op)


def big(op: str | None = None, *, megabytes: int = 5) -> Fault:
    """The answer has a text of so many megabytes."""
    return _fault("big", op, megabytes=megabytes)


def hog(op: str | None = None, *, megabytes: int = 50) -> Fault:
    """The server takes so many megabytes of memory, keeps them, and answers as if nothing were wrong."""
    return _fault("hog", op, megabytes=megabytes)


def stderr_flood(op: str | None = None, *, size: int = 1_000_000) -> Fault:
    """The server writes `size` bytes to stderr before it answers."""
    return _fault("stderr", op, bytes=size)


def rpc_error(op: str | None = None, *, code: int = -32603, message: str = "as you asked") -> Fault:
    """An error of the protocol comes instead of a result."""
    return _fault("rpc_error", op, code=code, message=message)


def flaky(op: str, *, times: int = 1, failure: str = "rpc_error") -> Fault:
    """The first `times` calls with this op end in the fault `failure`, later ones go well."""
    return _fault("flaky", op, times=times, failure=failure)


def change_tools(
    op: str | None = None, *, add: str | None = None, remove: str | None = None, redescribe: str | None = None
) -> Fault:
    """The server's tools change, and it tells its listeners: one more, one less, or one with another description.

    Without a name, a tool `added` is added.
    """
    return _fault("change_tools", op, add=add, remove=remove, redescribe=redescribe)


def reset(op: str | None = None) -> Fault:
    """HTTP only: the connection is reset."""
    return _fault("reset", op)


def status(op: str | None = None, *, code: int = 503, retry_after: str | None = None) -> Fault:
    """HTTP only: an HTTP error, with a Retry-After (seconds, or a date) where one is given; nothing is executed."""
    return _fault("status", op, status=code, retry_after=retry_after)


def rpc_body(
    op: str | None = None,
    *,
    status: int = 500,
    code: int = -32603,
    message: str = "as you asked",
    retry_after: str | None = None,
) -> Fault:
    """HTTP only: an HTTP error whose body is an error of the protocol; nothing is executed."""
    details = {"status": status, "code": code, "message": message, "retry_after": retry_after}
    return _fault("status", op, rpc_body=True, **details)


def html(op: str | None = None) -> Fault:
    """HTTP only: a web page comes, as from a proxy in between."""
    return _fault("html", op)


def accepted(op: str | None = None) -> Fault:
    """HTTP only: 202 without any answer."""
    return _fault("accepted", op)


def sse_cut(op: str | None = None, *, abrupt: bool = False) -> Fault:
    """HTTP only: the event stream ends before the answer; `abrupt`, the connection with it."""
    return _fault("sse_cut", op, abrupt=abrupt)
