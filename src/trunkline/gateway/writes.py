"""Sends what a connection says in one step of the loop at once: the web server writes an answer's head and body apart.

Each write is a call of the system and wakes the client up, which with a head alone can do nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["JoinedWrites"]

_MOST: Final = 65536
"""Bytes that are held back at most: what is larger gains nothing, and copying it costs more than a second write."""


class JoinedWrites(asyncio.Transport):
    """A transport before another one: what is written waits for what follows, until the loop's next step at most."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to `transport`."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._step: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"<JoinedWrites [{self._size} bytes held] {self._transport!r}>"

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Say this, soon."""
        if not data:
            return
        if self._size + len(data) > _MOST:
            self.flush()
            self._transport.write(data)
            return
        self._held.append(data)
        self._size += len(data)
        if self._step is None:
            self._step = self._loop.call_soon(self.flush)

    def write_now(self, data: bytes) -> None:
        """Say this at once, after what is held."""
        self._held.append(data)
        self.flush()

    def flush(self) -> None:
        """Say now what is held."""
        held = self._forget()
        # Some loops mind that something is written where nobody is any more.
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def _forget(self) -> list[bytes | bytearray | memoryview]:
        held, self._held, self._size = self._held, [], 0
        if self._step is not None:
            self._step.cancel()
            self._step = None
        return held

    def close(self) -> None:
        """Close, once all has been said."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close, whatever has not been said."""
        self._forget()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """How many bytes have not been taken."""
        return self._size + self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the other transport."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take in nothing for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take in again."""
        self._transport.resume_reading()
