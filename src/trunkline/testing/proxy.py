"""A TCP proxy that does to connections what networks do: delays, cuts, silences, changes bytes.

    async with FaultProxy("127.0.0.1", 8080) as proxy:
        proxy.latency = 0.2
        …
        proxy.heal()

Faults are set while connections are open, take effect with the next bytes, and end with `heal`. Works in front of
anything that speaks TCP: MCP servers over HTTP, Redis, a metrics backend.
"""

from __future__ import annotations

import random
import socket
import struct
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import SocketAttribute, SocketStream

__all__ = ["FaultProxy"]

_CHUNK = 16_384
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class FaultProxy:
    """Forwards connections to one address, byte for byte, until it is told to do otherwise.

    Enter it and leave it in one task. It listens on a loopback port of its own.
    """

    def __init__(self, host: str, port: int, *, rng: random.Random | None = None) -> None:
        """Describe a proxy in front of `host`:`port`; `rng` draws jitter and the bytes to change."""
        self._target = (host, port)
        self._rng = rng or random.Random()
        self._stack = AsyncExitStack()
        self._connections: dict[SocketStream, anyio.CancelScope] = {}
        self._changed = anyio.Event()
        self.port = 0
        """Where it listens, once entered."""
        self.accepted = 0
        """Connections taken so far."""
        self.forwarded = 0
        """Bytes passed on so far, both ways together."""
        self.heal()

    def heal(self) -> None:
        """End every fault. What was cut stays cut; what was held back goes on."""
        self.latency = 0.0
        """Seconds each piece of data is held back, in each direction."""
        self.jitter = 0.0
        """Seconds: up to so much more, drawn anew for each piece."""
        self.bytes_per_second: float | None = None
        """The pace of each direction of each connection; None for any."""
        self.is_black_hole = False
        """Whether nothing passes and nothing ends, on present connections and on new ones."""
        self.is_refusing = False
        """Whether new connections are reset as soon as they are made."""
        self.cut_after: int | None = None
        """Bytes of an answer after which its connection is reset; None for never."""
        self.corrupt_every: int | None = None
        """One of so many bytes of the answers is changed; None for none."""
        self.insert_at: int | None = None
        """Bytes into an answer at which one more byte is slipped in, which shifts the rest; None for nowhere."""
        self._tell()

    def __repr__(self) -> str:
        faults = [name for name in _FAULTS if getattr(self, name)]
        return (
            f"<FaultProxy [:{self.port} to {self._target[0]}:{self._target[1]} | {self.open} open, "
            f"{self.accepted} accepted, {self.forwarded} bytes | {', '.join(faults) or 'no fault'}]>"
        )

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._connections)

    @property
    def url(self) -> str:
        """The address of an MCP server behind it."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def __aenter__(self) -> Self:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a typed attribute, no SQL
        await self._stack.enter_async_context(listener)
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(listener.serve, self._serve)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    def cut(self) -> None:
        """Reset every present connection, as a crash of the peer's machine would."""
        for near, scope in tuple(self._connections.items()):
            _close_by_reset(near)
            scope.cancel()

    def freeze(self) -> None:
        """Let nothing pass and nothing end, until `heal`."""
        self.is_black_hole = True

    async def _serve(self, near: SocketStream) -> None:
        self.accepted += 1
        async with near:
            if self.is_refusing:
                _close_by_reset(near)
                return
            with anyio.CancelScope() as scope:
                self._connections[near] = scope
                try:
                    await self._join(near)
                except* _GONE:
                    pass  # either end left: that ends this connection, and only this one
                finally:
                    del self._connections[near]

    async def _join(self, near: SocketStream) -> None:
        await self._hold()
        async with await anyio.connect_tcp(*self._target) as far, anyio.create_task_group() as tasks:
            tasks.start_soon(self._pump, near, far, False)
            tasks.start_soon(self._pump, far, near, True)

    async def _pump(self, source: SocketStream, sink: SocketStream, is_answer: bool) -> None:
        passed = 0
        while True:
            try:
                data = await source.receive(_CHUNK)
            except anyio.EndOfStream:
                with suppress(*_GONE):
                    await sink.send_eof()
                return
            await self._delay(len(data))
            await self._hold()
            cut_after = self.cut_after
            if is_answer:
                data = self._changed_bytes(data, passed)
                if cut_after is not None and passed + len(data) > cut_after:
                    await sink.send(data[: max(0, cut_after - passed)])
                    _close_by_reset(sink)
                    raise anyio.BrokenResourceError
            await sink.send(data)
            passed += len(data)
            self.forwarded += len(data)

    async def _delay(self, size: int) -> None:
        pause = self.latency + self.jitter * self._rng.random()
        if self.bytes_per_second is not None:
            pause += size / self.bytes_per_second
        if pause > 0:
            await anyio.sleep(pause)

    async def _hold(self) -> None:
        while self.is_black_hole:
            await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _changed_bytes(self, data: bytes, passed: int) -> bytes:
        """What becomes of a piece of an answer of which `passed` bytes went before it."""
        if self.corrupt_every is not None:
            spoilt = bytearray(data)
            for place in range(-passed % self.corrupt_every, len(data), self.corrupt_every):
                spoilt[place] ^= self._rng.randrange(1, 256)
            data = bytes(spoilt)
        if self.insert_at is not None and passed <= self.insert_at < passed + len(data):
            place = self.insert_at - passed
            data = data[:place] + self._rng.randbytes(1) + data[place:]
        return data


_FAULTS = (
    "latency",
    "jitter",
    "bytes_per_second",
    "is_black_hole",
    "is_refusing",
    "cut_after",
    "corrupt_every",
    "insert_at",
)


def _close_by_reset(stream: SocketStream) -> None:
    """Make the coming close a reset instead of an orderly end: with no time to linger, nothing is said in parting."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - a typed attribute, no SQL
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
