"""How the tour speaks: titles, paragraphs and one line of state, in place on a terminal, now and then elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import Final, TextIO

__all__ = ["Teller", "spoken"]

_WIDTH: Final = 88
"""Characters of a line, where the terminal has as many."""
_CLEAR: Final = "\r\x1b[K"


class Teller:
    """Writes to `out`; knows nothing of what it tells."""

    def __init__(self, out: TextIO = sys.stdout, *, is_live: bool | None = None) -> None:
        """Write to `out`; `is_live`: whether it is a terminal, found out by itself when None."""
        self.is_live = out.isatty() if is_live is None else is_live
        self._is_bold = self.is_live and not os.environ.get("NO_COLOR")
        self._out = out
        self._has_state = False

    def title(self, words: str) -> None:
        """Begin a chapter."""
        self._write(f"\n\x1b[1m{words}\x1b[0m\n" if self._is_bold else f"\n{words}\n")

    def say(self, words: str) -> None:
        """Tell a paragraph, broken into lines that fit."""
        self._write(textwrap.fill(words, min(_WIDTH, self._columns())) + "\n")

    def lines(self, lines: list[str]) -> None:
        """Tell lines as they are."""
        self._write("".join(f"{line}\n" for line in lines))

    def state(self, words: str) -> None:
        """Tell how things are now: on a terminal instead of what was told last, elsewhere in a line of its own."""
        if self.is_live:
            # A line that wraps could not be taken back.
            self._out.write(f"{_CLEAR}{words[: self._columns() - 1]}")
            self._out.flush()
            self._has_state = True
        else:
            self._write(f"{words}\n")

    def _columns(self) -> int:
        return max(20, shutil.get_terminal_size().columns) if self.is_live else _WIDTH

    def _write(self, text: str) -> None:
        end = "\n" if self._has_state else ""
        self._has_state = False
        self._out.write(end + text)
        self._out.flush()


def spoken(seconds: float) -> str:
    """A duration as people say it: "5 minutes", "1 min 30 s", "12 s", "0.4 s", "3 ms"."""
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if not rest:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes} min {rest} s"
