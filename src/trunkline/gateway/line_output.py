"""Lines to whoever reads the standard output, written from the loop: by no thread, and without ever holding it up.

A pipe that is ready takes `PIPE_BUF` bytes without waiting (POSIX, `write`); so no more is written at a time. It is not
made one that never waits: that would hold for everybody else who has it open too.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio

__all__ = ["LineOutput", "claimed_output"]

_OUTPUT, _ERRORS = 1, 2
"""Their descriptors."""
_MOST: Final = 65536
"""Bytes that may wait before whoever has more to say waits too."""


@contextmanager
def claimed_output() -> Iterator[int]:
    """The descriptor of what was the standard output: whatever else is printed while the block lasts goes to stderr."""
    sys.stdout.flush()
    # Above those that have a meaning, and not for the children.
    claimed = fcntl.fcntl(_OUTPUT, fcntl.F_DUPFD_CLOEXEC, _ERRORS + 1)
    os.dup2(_ERRORS, _OUTPUT)
    try:
        yield claimed
    finally:
        os.dup2(claimed, _OUTPUT)
        os.close(claimed)


class LineOutput:
    """What is on its way out. Lines go out whole and in their order, also when who said them has been cancelled."""

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        """Write to `descriptor`; `on_end` is called once nobody reads any more."""
        self._descriptor = descriptor
        self._on_end = on_end
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._rest = bytearray()
        self._is_stuck = anyio.Event()
        self._has_room = anyio.Event()

    def __repr__(self) -> str:
        return f"<LineOutput [{len(self._rest)} bytes waiting]>"

    def put(self, line: bytes) -> None:
        """Say this, and wait for nothing."""
        has_turn = not self._rest
        self._rest += line + b"\n"
        if has_turn:
            self._write()
        if self._rest:
            self._is_stuck.set()

    async def send(self, line: bytes) -> None:
        """Say this, and wait until there is room for more."""
        self.put(line)
        await self.room()

    async def room(self) -> None:
        """Wait until there is room for more."""
        while len(self._rest) > _MOST:
            await self._has_room.wait()

    async def run(self) -> None:
        """Write what could not be written at once, until cancelled; what is left then has a second more."""
        try:
            while True:
                await self._is_stuck.wait()
                self._is_stuck = anyio.Event()
                await self._drain()
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._drain()

    async def _drain(self) -> None:
        while self._rest:
            await anyio.wait_writable(self._descriptor)
            self._write()
            if len(self._rest) <= _MOST:
                self._has_room.set()
                self._has_room = anyio.Event()

    def _write(self) -> None:
        try:
            while self._rest and self._writable.poll(0):
                del self._rest[: os.write(self._descriptor, self._rest[: select.PIPE_BUF])]
        except OSError:
            self._rest.clear()
            self._on_end()
