"""One look at everything a second, told to every viewer as the same bytes of server-sent events.

A viewer is a place in what was told and nothing more: however many there are, the view is made, compared and written
once, and one that reads slowly is told everything anew instead of having its backlog kept.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import anyio

from trunkline.clock import now
from trunkline.gateway.merge_patch import difference, patched
from trunkline.gateway.turns import Turns

__all__ = ["MAX_VIEWERS", "Broadcast"]

MAX_VIEWERS: Final = 256
_INTERVAL: Final = 1.0
"""Seconds between two looks, while anybody watches."""
_BEHIND: Final = 8
"""Patches a viewer may be behind; from there on it is told everything anew."""
_HEARTBEAT: Final = 10.0
"""Seconds without news after which a viewer is told that there are none."""


class Broadcast:
    """Looks when somebody watches, and tells what changed."""

    def __init__(self, look: Callable[[], dict[str, Any]], *, failed: Callable[[Exception], None]) -> None:
        """`look` makes the view, once a second at most; `failed` is told when it raised while viewers wait."""
        self._look = look
        self._failed = failed
        self._turns = Turns()
        self._view: dict[str, Any] = {}
        self._looked = float("-inf")
        self._number = 0
        self._whole = b""
        self._patches: deque[bytes] = deque(maxlen=_BEHIND)
        self._news = anyio.Event()
        self._wanted = anyio.Event()
        self._is_closed = False
        self.viewers = 0
        """Streams that are open."""

    def __repr__(self) -> str:
        return f"<Broadcast [{self.viewers} viewers, {self._number} told]>"

    @property
    def is_full(self) -> bool:
        """Whether no further viewer is let in."""
        return self.viewers >= MAX_VIEWERS

    async def run(self) -> None:
        """Look and tell, until cancelled. Without viewers it does nothing."""
        while True:
            if not self.viewers:
                self._wanted = anyio.Event()
                await self._wanted.wait()
            try:
                self._tell()
            except Exception as error:  # boundary: a view that cannot be made must not end the streams
                self._failed(error)
            await anyio.sleep(_INTERVAL)

    def close(self) -> None:
        """End every stream, now and from now on."""
        self._is_closed = True
        self._announce()

    def view(self) -> dict[str, Any]:
        """Return the view, at most a second old."""
        if not self.viewers and now() - self._looked >= _INTERVAL:
            self._take(self._look())
        return self._view

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Yield what one viewer is to be told, from the whole view on. To be closed by who reads it."""
        self.viewers += 1
        try:
            if self.viewers == 1:
                self._take(self._look())
                self._wanted.set()
            told = self._number
            yield self._everything()
            while not self._is_closed:
                if self._number == told:
                    with anyio.move_on_after(_HEARTBEAT):
                        await self._news.wait()
                yield self._since(told)
                told = self._number
        finally:
            self.viewers -= 1

    def _tell(self) -> None:
        patch = self._turns.taken(difference(self._view, self._look()))
        if patch:
            self._number += 1
            self._whole = b""
            self._view = patched(self._view, patch)
            self._looked = now()
            self._patches.append(_event(self._number, "patch", patch))
            self._announce()

    def _take(self, view: dict[str, Any]) -> None:
        """Nobody watches: nobody needs a patch."""
        self._number += 1
        self._whole = b""
        self._view = view
        self._looked = now()
        self._patches.clear()

    def _announce(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _everything(self) -> bytes:
        if not self._whole:
            self._whole = _event(self._number, "view", self._view)
        return self._whole

    def _since(self, told: int) -> bytes:
        missed = self._number - told
        if not missed:
            return b": no news\n\n"
        if missed > len(self._patches):
            return self._everything()
        return b"".join(list(self._patches)[-missed:])


def _event(number: int, kind: str, data: dict[str, Any]) -> bytes:
    # In ASCII: a name may hold what has no UTF-8, and a line break in it would end the event.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"id: {number}\nevent: {kind}\ndata: {text}\n\n".encode("ascii")
