"""Writes to the shared tier that wait for their turn: bounded in number and bytes, the last one of a key wins. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from trunkline.cache.link import Command

__all__ = ["PendingWrites"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of values that may wait, whatever their number."""
_TAKEN_BYTES: Final = 1024 * 1024
_TAKEN: Final = 128


class PendingWrites:
    """First come, first served; what does not fit is refused."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: OrderedDict[bytes, tuple[int, tuple[Command, ...]]] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<PendingWrites [{len(self._waiting)} of {self._limit}, {self._bytes} bytes]>"

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: bytes, size: int, commands: Sequence[Command]) -> bool:
        """Let the commands that write `key` wait; whether there was room."""
        before = self._waiting.get(key)
        freed = before[0] if before is not None else 0
        if (before is None and len(self._waiting) >= self._limit) or self._bytes - freed + size > MAX_BYTES:
            return False
        self._bytes += size - freed
        self._waiting[key] = size, tuple(commands)
        return True

    def take(self) -> list[tuple[Command, ...]]:
        """The commands of those whose turn it is: as many as may go together."""
        taken: list[tuple[Command, ...]] = []
        room = _TAKEN_BYTES
        while self._waiting and len(taken) < _TAKEN and (room > 0 or not taken):
            _, (size, commands) = self._waiting.popitem(last=False)
            self._bytes -= size
            room -= size
            taken.append(commands)
        return taken

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        count = len(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return count
