"""What a person who waits at a terminal is told meanwhile: what for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(words: str, *, after: float = 1.0) -> Iterator[None]:
    """Tell `words` on standard error where the block takes longer than `after` seconds; only to a terminal.

    By a thread's timer: a task group would wrap what the block raises.
    """
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(after, sys.stderr.write, [f"{words}\n"])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
