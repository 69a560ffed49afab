"""The terminal itself: its own screen while we use it, keys as names, and everything as it was afterwards.

Standard library only, POSIX only. Whatever ends the program, but for SIGKILL, gives the terminal back.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

__all__ = ["Screen"]

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""The alternate screen, without a cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_KEYS: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"\x1b[A": "up",
        b"\x1bOA": "up",
        b"k": "up",
        b"\x1b[B": "down",
        b"\x1bOB": "down",
        b"j": "down",
        b"\x1b[5~": "page_up",
        b"\x1b[6~": "page_down",
        b"\r": "enter",
        b"\n": "enter",
        b"\x1b": "escape",
        b"q": "quit",
        b"?": "help",
        b"h": "help",
    }
)
_REST: Final = 0.05
"""Seconds the rest of a key's sequence may take: what is slower was the Escape key."""


class Screen:
    """Entered, it owns the terminal of standard input and output; `wake` makes a wait end from any thread."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._input)
        for number, handler in (
            (signal.SIGWINCH, lambda *_: self.wake()),
            (signal.SIGTSTP, lambda *_: self._pause()),
            # By an exception, so that the terminal is given back on the way out.
            (signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)),
            (signal.SIGHUP, lambda *_: sys.exit(128 + signal.SIGHUP)),
        ):
            self._handlers[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def wake(self) -> None:
        """End the wait of `keys`, now or the next one. From any thread, and from a signal handler."""
        try:
            os.write(self._writing, b"x")
        except BlockingIOError:
            pass  # It is full of wakes that nobody has noticed yet.
        except OSError:
            pass  # It has been closed: there is nobody to wake.

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        columns, lines = shutil.get_terminal_size()
        return max(20, columns), max(5, lines)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines and nothing else, without flicker. None may be wider than the terminal."""
        body = "\r\n".join(f"{line}\x1b[K" for line in lines)
        sys.stdout.write(f"\x1b[?2026h\x1b[H{body}\x1b[J\x1b[?2026l")
        sys.stdout.flush()

    def keys(self, timeout: float) -> list[str]:
        """Wait at most `timeout` seconds, less where woken; return the names of the keys that were pressed."""
        ready, _, _ = select.select([self._input, self._reading], [], [], timeout)
        if self._reading in ready:
            os.read(self._reading, 4096)
        return list(self._pressed()) if self._input in ready else []

    def _pressed(self) -> Iterator[str]:
        raw = os.read(self._input, 1024)
        if not raw:
            yield "quit"  # The terminal is gone.
        if raw.endswith(b"\x1b") and select.select([self._input], [], [], _REST)[0]:
            raw += os.read(self._input, 1024)
        while raw:
            key = next((key for key in sorted(_KEYS, key=len, reverse=True) if raw.startswith(key)), raw[:1])
            raw = raw[len(key) :]
            if key in _KEYS:
                yield _KEYS[key]

    def _take(self) -> None:
        tty.setcbreak(self._input)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()

    def _give_back(self) -> None:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def _pause(self) -> None:
        """Ctrl-Z: the shell gets its own screen, and we take ours again when we are continued."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self.wake()
