"""A program in a real terminal: what is on its screen at the moment, and keys that are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["ProgramInTerminal", "in_terminal"]

_FRAME = re.compile(rb"\x1b\[\?2026h\x1b\[H(.*?)\x1b\[J\x1b\[\?2026l", re.DOTALL)
_CODES = re.compile(r"\x1b\[[0-9;]*[mK]")


class ProgramInTerminal:
    """Shows whole screens, as `trunkline top` does, each between the marks of a synchronized update."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int, theirs: int, before: list[Any]) -> None:
        self.process = process
        self.written = b""
        """Everything it wrote so far."""
        self._ours = ours
        self._theirs = theirs
        self.before = before
        """How the terminal was set before the program."""

    @property
    def screen(self) -> str:
        """The latest whole screen, without styles."""
        frames = _FRAME.findall(self.written)
        return _CODES.sub("", frames[-1].decode()).replace("\r", "") if frames else ""

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: bytes) -> None:
        """Send keys."""
        os.write(self._ours, keys)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; the kernel tells the program."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, *words: str, without: str = "\0", within: float = 30.0) -> str:
        """Wait until the screen has all these words and not those; return it. Fails with what it shows instead."""
        deadline = time.monotonic() + within
        while not all(word in self.screen for word in words) or without in self.screen:
            left = deadline - time.monotonic()
            assert left > 0, f"{words} not seen on:\n{self.screen}"
            assert self._read(left), f"it has ended, with:\n{self.screen}\n{self.written[-2000:]!r}"
        return self.screen

    def end(self, within: float = 20.0) -> int:
        """Wait until the program has ended and has been read to its end; return its exit status."""
        deadline = time.monotonic() + within
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        # What it wrote last may still be on its way through the terminal.
        while select.select([self._ours], [], [], 0.5)[0] and self._read(0.0):
            pass
        return self.process.wait(timeout=0.1)

    def _read(self, seconds: float) -> bool:
        if select.select([self._ours], [], [], min(seconds, 1.0))[0]:
            try:
                self.written += os.read(self._ours, 65536)
            except OSError:
                return False
        return True


@contextmanager
def in_terminal(
    command: Sequence[str], *, columns: int = 100, lines: int = 30, environment: Mapping[str, str]
) -> Iterator[ProgramInTerminal]:
    """Run `command` in a terminal of its own."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    program = ProgramInTerminal(
        subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True),
        ours,
        theirs,
        before,
    )
    program.resize(columns, lines)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.wait(10)
        os.close(ours)
        os.close(theirs)
