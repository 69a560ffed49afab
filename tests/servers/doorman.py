"""Stands in front of an HTTP server: turns requests away as told, notes what is asked, and lets the rest through."""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

Request: TypeAlias = dict[str, Any]
Answer: TypeAlias = bytes | None
"""Raw bytes to answer with; empty ones reset the connection; None lets the request through."""

_LONGEST = 1 << 24
_GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
RESET = b""


def status(code: int, **headers: str) -> bytes:
    """An HTTP response without a body."""
    lines = [f"HTTP/1.1 {code} ", "Content-Length: 0", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def page(body: bytes, content_type: str = "application/json") -> bytes:
    """An HTTP response of status 200."""
    head = f"HTTP/1.1 200 \r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


class Doorman:
    """Answers itself while `turn_away` says so or `script` has answers left for the method; notes every request."""

    def __init__(self, url: str, upstream_port: int) -> None:
        self.url = url
        self.turn_away: Callable[[Request], Answer] = lambda _request: None
        self.script: dict[str, deque[bytes]] = {}
        self.requests: list[Request] = []
        self.upstream_port = upstream_port

    def __repr__(self) -> str:
        return f"<Doorman [{self.url}, {len(self.requests)} requests]>"

    def asked(self, method: str) -> int:
        """How often a JSON-RPC method was asked for."""
        return sum(request.get("method") == method for request in self.requests)

    async def serve(self, client: SocketStream) -> None:
        """Serve one connection."""
        async with client, anyio.create_task_group() as tasks:
            with suppress(*_GONE):
                await self._serve(client, tasks)
            tasks.cancel_scope.cancel()

    async def _serve(self, client: SocketStream, tasks: TaskGroup) -> None:
        received = BufferedByteReceiveStream(client)
        upstream: SocketStream | None = None
        try:
            while True:
                raw, request = await _read(received)
                self.requests.append(request)
                answer = self._answer(request)
                if answer == RESET:
                    # Lingering for no time makes the kernel send RST instead of FIN.
                    raw_socket: socket.socket = client.extra(SocketAttribute.raw_socket)
                    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if answer is not None:
                    await client.send(answer)
                    return
                if upstream is None:
                    upstream = await anyio.connect_tcp("127.0.0.1", self.upstream_port)
                    tasks.start_soon(_pump, upstream, client)
                await upstream.send(raw)
        finally:
            if upstream is not None:
                await anyio.aclose_forcefully(upstream)

    def _answer(self, request: Request) -> Answer:
        scripted = self.script.get(request.get("method", ""))
        return scripted.popleft() if scripted else self.turn_away(request)


async def _read(received: BufferedByteReceiveStream) -> tuple[bytes, Request]:
    head = await received.receive_until(b"\r\n\r\n", _LONGEST)
    headers = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    body = await received.receive_exactly(size) if (size := int(headers.get("content-length", "0"))) else b""
    request: Request = json.loads(body) if body else {}
    return head + b"\r\n\r\n" + body, request


async def _pump(upstream: SocketStream, client: SocketStream) -> None:
    with suppress(*_GONE):
        while True:
            await client.send(await upstream.receive())
    await anyio.aclose_forcefully(client)


@asynccontextmanager
async def doorman(upstream_port: int) -> AsyncGenerator[Doorman, None]:
    """A doorman in front of the server at `upstream_port`, at an address of its own."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port: int = listener.extra(SocketAttribute.local_port)
        standing = Doorman(f"http://127.0.0.1:{port}/mcp", upstream_port)
        tasks.start_soon(listener.serve, standing.serve)
        yield standing
        tasks.cancel_scope.cancel()
