"""What the fuzzer of the gateway's MCP endpoint sends: requests of both eras with a few things wrong, or none.

Most cases are nearly right, because what is entirely wrong is refused at the door. A case is data; a session's id is
put in where it says `SESSION`.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

__all__ = [
    "BYTES",
    "HEADER_NAMES",
    "HEADER_VALUES",
    "JSON",
    "LEGACY",
    "METHODS",
    "REQUESTS",
    "RESUMING",
    "SESSION",
    "TARGETS",
    "McpRequest",
]

LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
SESSION: Final = "<session>"
"""As the value of a header: the id of a session that is open."""

_META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "fuzzer", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_LISTEN: Final = {"toolsListChanged": True, "resourceSubscriptions": ["test://a"]}
_PARAMS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("tools/call", {"name": "good_echo", "arguments": {"text": "x"}}),
    ("tools/call", {"name": "good_add", "arguments": {"a": 2, "b": 3}}),
    ("tools/call", {"name": "good_progress", "arguments": {"steps": 3}, "_meta": {"progressToken": 1}}),
    ("tools/call", {"name": "good_fail", "arguments": {"message": "x"}}),
    ("tools/call", {"name": "good_nothing", "arguments": {}}),
    ("tools/call", {"name": "bad_add_wrong", "arguments": {"a": 2, "b": 3}}),
    ("tools/call", {"name": "bad_rpc_error", "arguments": {"code": -32603, "message": "x"}}),
    ("tools/call", {"name": "bad_fault", "arguments": {"kind": "not_a_result"}}),
    ("tools/call", {"name": "bad_fault", "arguments": {"kind": "double"}}),
    ("tools/call", {"name": "bad_fault", "arguments": {"kind": "rpc_error", "code": -32000, "message": "x"}}),
    ("tools/list", {}),
    ("tools/list", {"cursor": ""}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "test://a"}),
    ("resources/subscribe", {"uri": "test://a"}),
    ("resources/unsubscribe", {"uri": "test://a"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "good_nothing", "arguments": {"a": "b"}}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}}),
    ("logging/setLevel", {"level": "debug"}),
    ("ping", {}),
    ("server/discover", {}),
    ("subscriptions/listen", {"notifications": _LISTEN}),
    ("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "f", "version": "1"}}),
    ("notifications/initialized", {}),
    ("notifications/cancelled", {"requestId": 1, "reason": "x"}),
    ("notifications/progress", {"progressToken": 1, "progress": 0.5}),
    ("notifications/roots/list_changed", {}),
    ("tasks/get", {"taskId": "x"}),
)

METHODS: Final = st.sampled_from(
    [*["GET"] * 12, "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "get", "QUERY", "M-SEARCH"]
)
HEADER_NAMES: Final = st.sampled_from(
    [
        "Accept",
        "Content-Type",
        "MCP-Protocol-Version",
        "Mcp-Session-Id",
        "Mcp-Method",
        "Mcp-Name",
        "Mcp-Param-Text",
        "Mcp-Param-",
        "Last-Event-ID",
        "Authorization",
        "Accept-Encoding",
        "Content-Encoding",
        "Traceparent",
        "Range",
        "If-None-Match",
        "Cookie",
        "X-Forwarded-For",
        "Host",
        "Origin",
    ]
)
_ASCII: Final = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADER_VALUES: Final = (
    _ASCII
    | st.sampled_from(
        [
            "",
            SESSION,
            LEGACY,
            MODERN,
            "2024-11-05",
            "1900-01-01",
            "application/json",
            "text/event-stream",
            "application/json, text/event-stream",
            "application/openmetrics-text",
            "*/*;q=0",
            "application/json; charset=utf-16",
            "tools/call",
            "good_echo",
            "=?base64?Z29vZF9lY2hv?=",
            "=?base64?////?=",
            "=?base64?!?=",
            "null",
            "http://127.0.0.1",
            "http://[::1",
            "gzip",
            "bytes=0-",
            "00-" + "f" * 32 + "-" + "f" * 16 + "-01",
            "\t",
            "a" * 9000,
        ]
    )
    | st.text(st.characters(min_codepoint=161, max_codepoint=0x2FFF), max_size=5)
)
QUERIES: Final = st.sampled_from(["", "?", "?a=b", "?a=%ff&a=", "?window=nan", "?%00", "?" + "a" * 5000, "#x"])
TARGETS: Final = st.builds(
    lambda parts, query: f"/{'/'.join(parts)}{query}",
    st.lists(
        st.sampled_from(["", ".", "..", "%2e%2e", "%00", "%ff", "api", "v1", "status", "static", "status.js", "mcp"]),
        max_size=5,
    ),
    QUERIES,
)

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9)
    | st.sampled_from(
        [2**63, -(2**63) - 1, 10**400, "", "\0", "\ud800", "a" * 5000, "__proto__", "$ref", MODERN, LEGACY]
    )
)
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
"""Any value, a few of which no other language's JSON would hold."""


@dataclass(frozen=True, slots=True)
class McpRequest:
    """One request at the endpoint."""

    era: str
    method: str
    headers: tuple[tuple[str, str], ...]
    message: Any
    """What the body says; None for a request without one."""

    @property
    def body(self) -> bytes:
        """The body as bytes."""
        return b"" if self.message is None else json.dumps(self.message).encode()

    @property
    def opens_stream(self) -> bool:
        """Whether an answer to this may stay open for as long as both sides like."""
        return self.method != "POST" or "subscriptions/listen" in json.dumps(self.message)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value, from the outside to the inside."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _places(inner, (*path, index))
    return found


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """The same value with one thing replaced, added or left out."""
    value = copy.deepcopy(value)
    *outer, last = draw(st.sampled_from(_places(value)[1:])) if _places(value)[1:] else (None,)
    if last is None:
        return draw(JSON)
    holder = value
    for key in outer:
        holder = holder[key]
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            holder[last] = draw(JSON)
        case "remove":
            del holder[last]
        case _ if isinstance(holder, dict):
            holder[draw(st.text(max_size=6) | st.sampled_from(["id", "result", "error", "_meta", "params"]))] = draw(
                JSON
            )
        case _:
            holder.append(draw(JSON))
    return value


@st.composite
def _requests(draw: st.DrawFn) -> McpRequest:
    era = draw(st.sampled_from([LEGACY, MODERN]))
    name, params = draw(st.sampled_from(_PARAMS))
    params = copy.deepcopy(params)
    headers = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
    headers.append(("MCP-Protocol-Version", era))
    if era == MODERN:
        params["_meta"] = {**_META, **params.get("_meta", {})}
        headers.append(("Mcp-Method", name))
        if isinstance(told := params.get("name", params.get("uri")), str):
            headers.append(("Mcp-Name", told))
    elif name != "initialize":
        headers.append(("Mcp-Session-Id", SESSION))
    message: Any = {"jsonrpc": "2.0", "id": draw(st.sampled_from([1, "a"])), "method": name, "params": params}
    if name.startswith("notifications/"):
        del message["id"]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        message = _changed(draw, message)
    if draw(st.sampled_from([False] * 9 + [True])):
        message = [message] * draw(st.integers(0, 3))
    method = draw(st.sampled_from(["POST"] * 9 + [""])) or draw(METHODS)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "add" or not headers:
            headers.append((draw(HEADER_NAMES), draw(HEADER_VALUES)))
            continue
        place = draw(st.integers(0, len(headers) - 1))
        if action == "remove":
            del headers[place]
        else:
            headers[place] = (headers[place][0], draw(HEADER_VALUES))
    return McpRequest(era, method, tuple(headers), message)


REQUESTS: Final = _requests()
"""Requests of both eras, right or nearly."""
_RESUMPTION: Final = (("Accept", "text/event-stream"), ("Mcp-Session-Id", SESSION), ("Last-Event-ID", "7"))
RESUMING: Final = McpRequest(LEGACY, "GET", _RESUMPTION, None)
"""What the SDK answers with nothing at all where no events are stored."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Bytes that are described in fewer words than they have."""

    pieces: tuple[tuple[bytes, int], ...]

    @property
    def bytes(self) -> bytes:
        """All of them."""
        return b"".join(piece * times for piece, times in self.pieces)


_PIECES: Final = st.sampled_from(
    [
        (b"{", 1),
        (b"}", 1),
        (b"[", 1),
        (b"]", 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}', 1),
        (b'"jsonrpc":"2.0",', 1),
        (b'"id":1,', 1),
        (b'"id":1e999,', 1),
        (b'"id":NaN,', 1),
        (b'"id":', 1),
        (b"9", 5000),
        (b'"method":"tools/list",', 1),
        (b'"method":"\\ud800",', 1),
        (b'"params":{}', 1),
        (b'"params":', 1),
        (b"[", 3000),
        (b'{"a":', 3000),
        (b"[", 100_000),
        (b"\xff\xfe", 1),
        (b"\xef\xbb\xbf", 1),
        (b"\0", 1),
        (b'"', 1),
        (b"a", 70_000),
    ]
)
BYTES: Final = (
    st.binary(max_size=60).map(lambda piece: Pieces(((piece, 1),)))
    | st.lists(_PIECES, max_size=8).map(lambda pieces: Pieces(tuple(pieces)))
    | JSON.map(lambda value: Pieces(((json.dumps(value).encode("utf-16"), 1),)))
)
"""Bodies that need not be JSON."""
