"""What callers of a gateway that asks who they are send: requests as they should be, and connections that misbehave."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from tests.resilience.raw_http import Answer, exchange, rendered

__all__ = ["MODERN", "Caller", "call", "connected", "ending_of", "message_of", "principals", "request", "result_of"]

MODERN: Final = "2026-07-28"
PATIENCE: Final = 20.0
"""Seconds a test waits for what has to come, on a busy machine."""
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "caller", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def principals(**tables: dict[str, Any]) -> dict[str, Any]:
    """The table of principals whose tokens are `<name>-token`."""
    return {
        name: {"token_sha256": [hashlib.sha256(f"{name}-token".encode()).hexdigest()], **table}
        for name, table in tables.items()
    }


def request(method: str, **params: Any) -> dict[str, Any]:
    """A JSON-RPC request of the stateless era."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": _META}}


def call(tool: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """The request that calls a tool."""
    return request("tools/call", name=tool, arguments=arguments or {})


def message_of(answer: Answer) -> dict[str, Any]:
    """The JSON-RPC message in an answer, in whichever form it came."""
    text = answer.body.decode()
    if answer.is_stream:
        text = [line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: ")
    found: dict[str, Any] = json.loads(text)
    return found


def result_of(answer: Answer) -> dict[str, Any]:
    """The result in an answer."""
    found: dict[str, Any] = message_of(answer)["result"]
    return found


class Caller:
    """One principal, or nobody, at the gateway on a port of this machine."""

    def __init__(self, port: int, name: str | None = None) -> None:
        self.port = port
        self.name = name

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every request of it has."""
        own = [] if self.name is None else [("Authorization", f"Bearer {self.name}-token")]
        return [("Host", f"127.0.0.1:{self.port}"), *own]

    def post(self, body: bytes, *headers: tuple[str, str], era: str | None = MODERN) -> Answer:
        """Send `body` to the MCP endpoint."""
        version = [] if era is None else [("MCP-Protocol-Version", era)]
        given = [
            *self.headers,
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            *version,
            *headers,
        ]
        return exchange(self.port, rendered("POST", "/mcp", given, body), patience=PATIENCE, lingering=PATIENCE)

    def call(self, tool: str, arguments: dict[str, Any] | None = None, *headers: tuple[str, str]) -> Answer:
        """Call a tool, with the headers that belong to that and those given."""
        told = [("Mcp-Method", "tools/call"), ("Mcp-Name", tool)]
        replaced = {name for name, _ in headers}
        own = [(name, value) for name, value in told if name not in replaced]
        return self.post(json.dumps(call(tool, arguments)).encode(), *own, *headers)

    def ask(self, method: str, **params: str) -> Answer:
        """Make any other request, with the headers that belong to it."""
        named = [("Mcp-Name", params["uri"])] if "uri" in params else []
        return self.post(json.dumps(request(method, **params)).encode(), ("Mcp-Method", method), *named)

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        """Read a page."""
        return exchange(self.port, rendered("GET", path, [*self.headers, *headers], b""), patience=PATIENCE)


@contextmanager
def connected(port: int, number: int, *, window: int | None = None) -> Iterator[list[socket.socket]]:
    """Connections on which nothing was said so far; `window` is how many bytes they take in before they are read."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in found:
            if window is not None:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            each.settimeout(PATIENCE)
            each.connect(("127.0.0.1", port))
        yield found


def ending_of(connection: socket.socket) -> bytes:
    """All that comes on a connection until the other side ends it; raises TimeoutError where it does not."""
    connection.settimeout(PATIENCE)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received
