"""An event loop whose time passes when nothing else is left to do: minutes of asyncio in a moment, the same each run.

trio has a clock for this; what needs asyncio (the shared tier) has only real time, or this. Nothing real may be waited
for in it: no sockets, no threads, no processes.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

__all__ = ["VirtualLoop", "run_virtually"]

T = TypeVar("T")


class _Idle(selectors.DefaultSelector):
    """Never waits: what would have been waited for, has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                msg = "nothing is left to happen, and somebody waits"
                raise RuntimeError(msg)
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop with such a clock. It begins at 1,000 s: a zero would hide what forgets to ask."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        """Seconds that have passed."""
        return 1000.0 + self._idle.passed


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` to its end in virtual time."""
    return anyio.run(main, backend_options={"loop_factory": VirtualLoop})
