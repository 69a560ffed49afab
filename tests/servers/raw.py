"""Speaks to the faulty servers without an SDK, to see the bytes that an SDK would refuse or repair."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from trunkline.testing.processes import Option, stdio_command

Json = dict[str, Any]

PATIENCE = 10.0
"""Seconds any single wait may take."""
LONGEST = 1 << 24


def request(request_id: int | str, method: str, **params: Any) -> Json:
    """A request of the stateless era."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}


def call(request_id: int | str, tool: str, **arguments: Any) -> Json:
    """A `tools/call` of the stateless era."""
    return request(request_id, "tools/call", name=tool, arguments=arguments)


class StdioPeer:
    """A client on the pipes of a server."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._input = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def send(self, *messages: Json) -> None:
        for message in messages:
            await self.send_line(json.dumps(message).encode())

    async def send_line(self, line: bytes) -> None:
        await self._input.send(line + b"\n")

    async def line(self) -> bytes:
        with anyio.fail_after(PATIENCE):
            return await self._lines.receive_until(b"\n", LONGEST)

    async def receive(self) -> Json:
        message: Json = json.loads(await self.line())
        return message

    async def ask(self, message: Json) -> Json:
        await self.send(message)
        return await self.receive()

    async def close_input(self) -> None:
        await self._input.aclose()

    async def wait(self) -> int:
        with anyio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def stdio_peer(**options: Option) -> AsyncGenerator[StdioPeer, None]:
    """A server on stdin and stdout, killed at the end."""
    program, arguments = stdio_command(**options)
    process = await anyio.open_process([program, *arguments], stderr=subprocess.PIPE)
    try:
        yield StdioPeer(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.fail_after(PATIENCE, shield=True):
            await process.aclose()


class HttpPeer:
    """A client on one HTTP connection."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._received = BufferedByteReceiveStream(stream)

    async def post(self, message: Json, **headers: str) -> None:
        body = json.dumps(message).encode()
        names = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Mcp-Method": message["method"]}
        names |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Name": message["params"].get("name", "")}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in names.items() if value)
        await self._stream.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers, names in lower case."""
        with anyio.fail_after(PATIENCE):
            head = await self._received.receive_until(b"\r\n\r\n", LONGEST)
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def body(self, headers: dict[str, str]) -> bytes:
        """A body of the announced length."""
        with anyio.fail_after(PATIENCE):
            length = int(headers["content-length"])
            return await self._received.receive_exactly(length) if length else b""

    async def events(self) -> AsyncIterator[Json]:
        """The messages of an event stream, until it ends in good order."""
        while True:
            with anyio.fail_after(PATIENCE):
                size = int(await self._received.receive_until(b"\r\n", LONGEST), 16)
                chunk = (await self._received.receive_exactly(size + 2))[:size]
            if not size:
                return
            yield json.loads(chunk.decode().split("data: ", 1)[1])

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        received = b""
        with anyio.fail_after(PATIENCE), suppress(anyio.EndOfStream):
            while True:
                received += await self._received.receive()
        return received

    async def ask(self, message: Json, **headers: str) -> tuple[int, Json]:
        """Status and JSON body of a request with an orderly answer."""
        await self.post(message, **headers)
        status, received = await self.head()
        answer: Json = json.loads(await self.body(received))
        return status, answer


@asynccontextmanager
async def http_peer(url: str) -> AsyncGenerator[HttpPeer, None]:
    """One connection to a server."""
    port = urlsplit(url).port
    assert port is not None
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield HttpPeer(stream)
