"""Bytes of a child's output to messages, one a line. Pure; sits under the stdio transport.

A line that is no message harms nobody: where it still names the request it answers, that request alone gets an
error at once; otherwise the line is reported and skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

__all__ = ["MALFORMED", "LineParser"]

MAX_LINE = 64 * 1024 * 1024
"""Bytes of one message; a longer line is skipped so that a runaway server cannot fill our memory."""

_HEAD = re.compile(
    rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,15}|"[^"\\]{1,64}")\s*,\s*"(?:result|error)"'
)

MALFORMED = "the server sent something that is not a JSON-RPC answer"


class LineParser:
    """Collects bytes and gives whole messages. Bounded by `max_line`."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[SessionMessage | Exception]:
        """Messages completed by this chunk; an exception stands for a line that could not be used."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            line, skipped = b"".join((*self._parts, piece)), self._skipping
            self._parts, self._size, self._skipping = [], 0, False
            if skipped or len(line) > self._max_line:
                yield ValueError(f"a line of more than {self._max_line} bytes was skipped")
            elif line.strip():
                yield _parse(line)
        self._size += len(rest)
        if self._size > self._max_line:
            self._parts, self._skipping = [], True
        elif rest:
            self._parts.append(rest)


def _parse(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return _salvage(line) or error


def _salvage(line: bytes) -> SessionMessage | None:
    """An error for the request that a malformed answer names, if it names one."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    except RecursionError:
        # Nested too deeply to be read; whose answer it is may stand at its beginning, where most servers put it.
        head = _HEAD.match(line)
        found = {} if head is None else {"id": json.loads(head[1])}
    if not isinstance(found, dict) or not isinstance(request_id := found.get("id"), int | str) or "method" in found:
        return None
    error = ErrorData(code=PARSE_ERROR, message=MALFORMED)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))
