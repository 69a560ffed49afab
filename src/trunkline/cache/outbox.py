"""New versions of tags that other processes have not heard of yet. Pure.

The last version of a tag wins. One that could not be told at once is told as yet another, fresh version: meanwhile
somebody else may have given the tag a newer one, and setting it back to ours would bring answers back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Outbox"]

_LIMIT: Final = 16_384
_TOGETHER: Final = 256
_PROMPT: Final = 0.05
"""Seconds after which a version counts as not told at once."""
_DOUBTFUL: Final = 5.0
"""Seconds before the loss of a connection: what was heard then may have been lost with the server that heard it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    version: bytes
    since: float
    has_failed: bool = False


class Outbox:
    """What to tell, in the order in which it was asked for."""

    def __init__(self, draw: Callable[[], bytes]) -> None:
        """`draw` makes a version that nobody has had before."""
        self._draw = draw
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._heard: OrderedDict[str, float] = OrderedDict()
        self.lost = 0
        """Versions for which there was no room."""

    def __repr__(self) -> str:
        return f"<Outbox [{len(self._waiting)} waiting, {self.lost} lost]>"

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, tag: str) -> bool:
        return tag in self._waiting

    def add(self, versions: Mapping[str, bytes], now: float) -> None:
        """Let versions wait."""
        for tag, version in versions.items():
            self._put(tag, _Waiting(version, now))

    def take(self, now: float) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """What to tell next, and those of them that are not what was asked for: our own process has to hear of them."""
        telling: dict[str, bytes] = {}
        fresh: dict[str, bytes] = {}
        for tag, item in list(self._waiting.items())[:_TOGETHER]:
            telling[tag] = item.version
            if item.has_failed or now - item.since > _PROMPT:
                telling[tag] = fresh[tag] = self._draw()
            self._waiting[tag] = _Waiting(telling[tag], item.since, has_failed=True)
        return telling, fresh

    def hear(self, told: Mapping[str, bytes], now: float) -> None:
        """Take note that these have arrived; a version that was asked for meanwhile goes on waiting."""
        for tag, version in told.items():
            item = self._waiting.get(tag)
            if item is not None and item.version == version:
                del self._waiting[tag]
            self._heard[tag] = now
            self._heard.move_to_end(tag)
        while self._heard and (len(self._heard) > _LIMIT or now - next(iter(self._heard.values())) > 60):
            self._heard.popitem(last=False)

    def doubt(self, lost_at: float) -> None:
        """Tell again what was heard just before the connection was lost: another server may answer now."""
        for tag, heard in self._heard.items():
            if heard > lost_at - _DOUBTFUL and tag not in self._waiting:
                self._put(tag, _Waiting(b"", heard, has_failed=True))
        self._heard.clear()

    def _put(self, tag: str, item: _Waiting) -> None:
        self._waiting[tag] = item
        self._waiting.move_to_end(tag)
        if len(self._waiting) > _LIMIT:
            self._waiting.popitem(last=False)
            self.lost += 1
