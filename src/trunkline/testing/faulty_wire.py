"""HTTP/1.1, just enough of it to serve MCP honestly, and the ways to break it.

Own parser and own writer, because a server library would not send a body shorter than it announced. Connections are
kept alive. Runs as part of a bare script.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_faults import Reply, garbage
    from trunkline.testing.faulty_messages import Json
else:  # run as a script, see faulty_options
    from faulty_faults import Reply, garbage
    from faulty_messages import Json

__all__ = ["HttpRequest", "Response", "WatchedReader", "read_request"]

_LARGEST = 1 << 26
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, read to its end. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class WatchedReader(asyncio.StreamReader):
    """A stream reader that also tells when the peer has gone, even while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=_LARGEST)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        """The peer has closed its side."""
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        """The connection was lost."""
        super().set_exception(exc)
        self.gone.set()


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request on a connection, or None when it has ended. Bodies need a Content-Length."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = request_line.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
    return HttpRequest(method, target.partition("?")[0], headers, body)


class Response:
    """The response to one request: a JSON body, or an event stream once something is told ahead of the answer."""

    def __init__(self, writer: asyncio.StreamWriter, *, always_stream: bool = False) -> None:
        self._writer = writer
        self._always_stream = always_stream
        self._streaming = False
        self.keeps_connection = True
        """Whether another request may follow on the same connection."""
        self.headers: dict[str, str] = {}
        """Sent with whatever kind of response it becomes."""

    def __repr__(self) -> str:
        return f"<Response [{'event stream' if self._streaming else 'not begun'}]>"

    async def send(self, status: int, body: bytes = b"", content_type: str = _JSON) -> None:
        """The whole response at once."""
        await self._announce(status, content_type, len(body))
        await self._write(body)

    async def send_json(self, status: int, body: Json) -> None:
        """One JSON-RPC message as the whole response."""
        await self.send(status, json.dumps(body).encode())

    async def open_stream(self) -> None:
        """Begin an event stream, unless it has begun."""
        if not self._streaming:
            self._streaming = True
            self.headers["Cache-Control"] = "no-cache"
            await self._announce(200, "text/event-stream", None)

    async def event(self, message: Json) -> None:
        """Send one message as an event, beginning the stream if need be."""
        await self.open_stream()
        event = f"event: message\r\ndata: {json.dumps(message)}\r\n\r\n".encode()
        await self._write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    async def end_stream(self) -> None:
        """End the event stream in good order; the connection lives on."""
        await self.open_stream()
        await self._write(b"0\r\n\r\n")

    async def commit(self, reply: Reply, status: int) -> None:
        """Answer the request, or break it as `reply.fault` says. `status` counts only for a JSON body."""
        if reply.fault is not None:
            await self._break(reply.fault, json.dumps(reply.messages[0]).encode())
        elif self._streaming or self._always_stream or len(reply.messages) != 1:
            for message in reply.messages:
                await self.event(message)
            await self.end_stream()
        else:
            await self.send_json(status, reply.messages[0])

    async def _break(self, fault: Json, body: bytes) -> None:
        match fault["kind"]:
            case "garbage":
                await self.send(200, garbage(fault))
            case "html":
                await self.send(200, b"<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")
            case "accepted":
                await self.send(202)
            case "status":
                await self._refuse(fault)
            case "cut":
                await self._announce(200, _JSON, len(body))
                await self._write(body[: len(body) // 2])
                self.keeps_connection = False
            case "slow_drip":
                await self._announce(200, _JSON, len(body))
                for byte in body:
                    await self._write(bytes([byte]))
                    await asyncio.sleep(fault.get("delay_ms", 5) / 1000)
            case "sse_cut":
                await self._end_early(abruptly=fault.get("abrupt", False))
            case "reset":
                self._reset()

    async def _end_early(self, *, abruptly: bool) -> None:
        await self.open_stream()
        if abruptly:
            await self._write(b"ffff\r\nevent: mess")
            self.keeps_connection = False
        else:
            await self.end_stream()

    async def _refuse(self, fault: Json) -> None:
        status = fault.get("status", 503)
        if "retry_after" in fault:
            self.headers["Retry-After"] = fault["retry_after"]
        if fault.get("rpc_body", False):
            error = {"code": fault.get("code", -32603), "message": fault.get("message", "as you asked")}
            await self.send_json(status, {"jsonrpc": "2.0", "id": None, "error": error})
        else:
            await self.send(status, b"as you asked", "text/plain")

    def _reset(self) -> None:
        self.keeps_connection = False
        connection: socket.socket = self._writer.get_extra_info("socket")
        # Lingering for no time makes the kernel send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _announce(self, status: int, content_type: str, length: int | None) -> None:
        body = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        headers = {"Content-Type": content_type, **body, **self.headers}
        # A reason phrase may be empty, which lets any status be sent.
        lines = [f"HTTP/1.1 {status} ", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await self._write("\r\n".join(lines).encode("latin-1"))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
