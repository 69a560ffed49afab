"""The way out to one sink: a bounded queue and a task that empties it, so that no sink can hold or break anything.

What raises, hangs or is refused is counted, told once for each kind of trouble, and shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import anyio

__all__ = ["Outlet", "OutletStats", "SinkRefused"]

Message = TypeVar("Message")


class SinkRefused(Exception):
    """A sink does not take this, and says why in words that can be shown; `is_final` where trying again is no use."""

    def __init__(self, words: str, *, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class OutletStats:
    """What became of what one sink was to be told."""

    name: str
    type: str
    delivered: int
    failed: int
    """Given up after every try."""
    dropped: int
    """Pushed out by newer ones while they waited."""
    waiting: int
    trouble: str
    """Why the last delivery failed; empty when it went well."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-able mapping."""
        return asdict(self)


class Outlet(Generic[Message]):
    """Messages that wait for one sink."""

    def __init__(
        self,
        name: str,
        kind: str,
        send: Callable[[Message], Awaitable[None]],
        *,
        on_failure: Callable[[str, str], None],
        timeout: float,
        attempts: int = 1,
        pause: float = 1.0,
        waiting: int = 100,
        resource: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        """Send by `send`, which may raise anything; `on_failure` hears the name and what is wrong when that changes.

        `resource` is held open while the outlet runs.
        """
        self.name = name
        self.kind = kind
        self._send = send
        self._on_failure = on_failure
        self._timeout = timeout
        self._attempts = attempts
        self._pause = pause
        self._waiting: deque[Message] = deque(maxlen=waiting)
        self._resource = resource
        self._wake = anyio.Event()
        self._delivered = self._failed = self._dropped = 0
        self._trouble = ""
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Outlet {self.stats()}>"

    def stats(self) -> OutletStats:
        """What became of everything so far."""
        return OutletStats(
            self.name, self.kind, self._delivered, self._failed, self._dropped, len(self._waiting), self._trouble
        )

    def put(self, message: Message) -> None:
        """Have `message` sent. Never waits; of too many, the oldest is dropped."""
        if len(self._waiting) == self._waiting.maxlen:
            self._dropped += 1
            self._note("too much waits: the oldest is dropped")
        self._waiting.append(message)
        self._wake.set()

    async def run(self) -> None:
        """Send what waits, until cancelled or closed."""
        async with self._resource or nullcontext():
            while not self._is_closed:
                while self._waiting:
                    await self._deliver(self._waiting.popleft())
                self._wake = anyio.Event()
                if not self._is_closed:
                    await self._wake.wait()

    def close(self) -> None:
        """Send what waits, and end."""
        self._is_closed = True
        self._wake.set()

    async def _deliver(self, message: Message) -> None:
        trouble = ""
        for attempt in range(self._attempts):
            if attempt:
                await anyio.sleep(self._pause * 2 ** (attempt - 1))
            trouble, is_final = await self._try(message)
            if not trouble:
                self._delivered += 1
                self._trouble = ""
                return
            if is_final:
                break
        self._failed += 1
        self._note(trouble)

    async def _try(self, message: Message) -> tuple[str, bool]:
        """What went wrong, empty for nothing, and whether there is no use in trying again."""
        with anyio.move_on_after(self._timeout) as scope:
            try:
                await self._send(message)
            except SinkRefused as error:
                return str(error), error.is_final
            except Exception as error:  # boundary: a sink may fail in any way; its words may hold its secret address
                return type(error).__name__, False
        return (f"no answer within {self._timeout:g} s", False) if scope.cancelled_caught else ("", False)

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_failure(self.name, trouble)
