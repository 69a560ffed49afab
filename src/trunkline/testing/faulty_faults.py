"""What can go wrong with an answer, decided apart from the wire that carries it.

    before an answer   crash_before crash_after hang stderr flaky change_tools rpc_error hog
    in its content     wrong_id double not_a_result wrong_schema big
    on the wire        garbage cut slow_drip, and over HTTP only: reset status html accepted sse_cut

A fault applies to the one request that asks for it, a crash excepted: the server's other requests go on as if
nothing had happened. Runs as part of a bare script.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_messages import INVALID_PARAMS, Json, RpcError
    from trunkline.testing.faulty_options import flood_stderr
    from trunkline.testing.faulty_tools import text
else:  # run as a script, see faulty_options
    from faulty_messages import INVALID_PARAMS, Json, RpcError
    from faulty_options import flood_stderr
    from faulty_tools import text

__all__ = ["KINDS", "WIRE_FAULTS", "Reply", "garbage", "has_effect", "spoil", "suffer"]

WIRE_FAULTS = frozenset({"garbage", "cut", "slow_drip", "reset", "status", "html", "accepted", "sse_cut"})
_CONTENT_FAULTS = frozenset({"wrong_id", "double", "not_a_result", "wrong_schema", "big"})
_EARLIER_FAULTS = frozenset(
    {"none", "crash_before", "crash_after", "hang", "stderr", "change_tools", "rpc_error", "hog"}
)
_PLAIN = WIRE_FAULTS | _CONTENT_FAULTS | _EARLIER_FAULTS
KINDS = _PLAIN | {"flaky"}
"""What the tool `fault` can be asked for; `none` is what a flaky operation comes to in the end."""
_WITHOUT_EFFECT = frozenset({"crash_before", "hang", "status"})

_MEGABYTE = 1_000_000
_NOBODYS_ID = "nobody-asked"


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request gets: usually one message; `fault` is for the wire to commit."""

    messages: Sequence[Json]
    fault: Json | None = None


def has_effect(fault: Json) -> bool:
    """Whether the side effect happens: the answer is lost, or the call never ran."""
    return bool(fault.get("effect", fault["kind"] not in _WITHOUT_EFFECT))


async def suffer(fault: Json) -> Json:
    """Go through the part of a fault that comes before the answer, and return the result an honest tool would.

    Exits the process for a crash, never returns for a hang; raises `RpcError` for `rpc_error` and for unknown kinds.
    """
    match fault["kind"]:
        case "crash_before" | "crash_after":
            os._exit(fault.get("code", 1))
        case "hang":
            await asyncio.Event().wait()
        case "stderr":
            flood_stderr(fault.get("bytes", _MEGABYTE))
        case "rpc_error":
            raise RpcError(fault.get("code", -32603), fault.get("message", "as you asked"))
        case "big":
            return text("x" * (fault.get("megabytes", 1) * _MEGABYTE))
        case "wrong_schema":
            return text("three", structured={"sum": "three"})
        case kind if kind not in _PLAIN:
            raise RpcError(INVALID_PARAMS, f"unknown kind of fault: {kind}")
    return text("ok")


def spoil(message: Json, fault: Json | None, others: Sequence[int | str]) -> Reply:
    """Turn an honest answer into what the fault makes of it. `others` are the ids of the other requests in flight.

    Raises `RpcError` when the fault needs another request in flight and there is none.
    """
    kind = fault["kind"] if fault else "none"
    if fault and kind == "wrong_id":
        if fault.get("which", "unknown") == "unknown":
            return Reply([{**message, "id": _NOBODYS_ID}])
        if not others:
            raise RpcError(INVALID_PARAMS, "no other request is in flight")
        return Reply([{**message, "id": others[0]}])
    if fault and kind == "not_a_result":
        return Reply([{**message, "result": fault.get("shape", {"content": 17})}])
    if kind == "double":
        return Reply([message, message])
    return Reply([message], fault if kind in WIRE_FAULTS else None)


def garbage(fault: Json) -> bytes:
    """Bytes that are no message: not JSON, or not even text."""
    return b"\xff\xfe\x80{}" if fault.get("invalid", "json") == "utf8" else b"Segmentation fault (core dumped)"
