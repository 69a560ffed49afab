"""Puts together what changes at about one time, so that clients are told of it once."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import anyio

__all__ = ["Gathering"]

_GATHER: Final = 0.05
"""Seconds in which further changes join the first: a server that connects changes several listings at once, and one in
several places tells several times of the same resource."""

ChangeT = TypeVar("ChangeT")


class Gathering(Generic[ChangeT]):
    """Changes that are still to be told, each once, in their order."""

    def __init__(self) -> None:
        self._pending: dict[ChangeT, None] = {}
        self._changed = anyio.Event()

    def __repr__(self) -> str:
        return f"<Gathering [{len(self._pending)} pending]>"

    def add(self, *changes: ChangeT) -> None:
        """Have these told."""
        self._pending |= dict.fromkeys(changes)
        if self._pending:
            self._changed.set()

    async def take(self) -> list[ChangeT]:
        """Wait for a change, and a little for others to join it; returns all of them."""
        await self._changed.wait()
        await anyio.sleep(_GATHER)
        found, self._pending, self._changed = list(self._pending), {}, anyio.Event()
        return found
