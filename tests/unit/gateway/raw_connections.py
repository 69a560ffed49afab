"""A web server with our protocol, reached by bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import uvicorn
from uvicorn.server import ServerState

from trunkline.events import Event, RequestRefused
from trunkline.gateway.connections import bounded
from trunkline.policy import LimitsPolicy

LIMITS = LimitsPolicy(head=2000, body=5000, head_time=0.2)
HOST = b"Host: x\r\n"


class Watched:
    """A transport, and what is written to it in one go: in the socket it would run together."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Take note, and write."""
        self._written.append(bytes(data))
        self._transport.write(data)


class Server:
    """Where the connections lead to: what has been served, and what was told of."""

    def __init__(self, port: int, told: list[Event], state: ServerState) -> None:
        self.port = port
        self.told = told
        self.state = state
        self.served: list[tuple[str, str, bytes]] = []
        self.written: list[bytes] = []
        self.at_once = self.most_at_once = 0

    @property
    def refused(self) -> list[str]:
        """Why something was."""
        return [event.reason for event in self.told if isinstance(event, RequestRefused)]

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Say the method, the path and the body again."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        body, is_whole = b"", scope["path"] == "/refuse"
        while not is_whole:
            message = await receive()
            body += message.get("body", b"")
            is_whole = not message.get("more_body", False)
        self.served.append((scope["method"], scope["path"], body))
        self.at_once -= 1
        await said(send, f"{scope['method']} {scope['path']} ".encode() + body)

    async def answers(self, *pieces: bytes, ends: int = 0, pause: float = 0) -> bytes:
        """All that comes back, until the other side ends it or there were `ends` answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = b""
        try:
            with anyio.fail_after(10):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await anyio.sleep(pause)
                while (not ends or found.count(b"|end|") < ends) and (chunk := await reader.read(65536)):
                    found += chunk
        except ConnectionError:
            pass
        finally:
            writer.close()
        return found


async def said(send: Any, words: bytes) -> None:
    words += b"|end|"
    length = str(len(words)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": words})


@asynccontextmanager
async def serving(app: Callable[..., Awaitable[None]] | None = None) -> AsyncIterator[Server]:
    told: list[Event] = []
    state, loop = ServerState(), asyncio.get_running_loop()
    protocol = bounded(lambda: LIMITS, told.append)

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await (app or server.app)(scope, receive, send)

    config = uvicorn.Config(
        called, http=protocol, log_config=None, ws="none", h11_max_incomplete_event_size=LIMITS.head
    )
    bases: Any = protocol

    class Connection(bases):  # type: ignore[misc] # made anew for each server
        def connection_made(self, transport: Any) -> None:
            super().connection_made(Watched(transport, server.written))

    made: Any = Connection
    listening = await loop.create_server(lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    server = Server(listening.sockets[0].getsockname()[1], told, state)
    async with listening:
        yield server
        for connection in list(state.connections):
            connection.transport.abort()
    await anyio.lowlevel.checkpoint()


def posted(path: bytes, head: bytes, body: bytes = b"") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + head + b"\r\n\r\n" + body
