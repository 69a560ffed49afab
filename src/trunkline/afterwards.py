"""What is noted of a call once its answer is out: nobody has to wait for that. For whoever gives answers to others.

It is noted in the same step of the loop in which the answer goes out, so that whoever has that finds it noted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Self, TypeAlias

__all__ = ["Afterwards", "afterwards"]

_Note: TypeAlias = Callable[[], None]


class Afterwards:
    """As a context: what is to be noted afterwards is noted at its end, however that comes about."""

    def __init__(self) -> None:
        self._notes: list[_Note] = []
        self._token: Token[Afterwards | None] | None = None
        self._is_open = True

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)
        self._is_open = False
        failure: Exception | None = None
        for note in self._notes:
            try:
                note()
            except Exception as error:  # boundary: whatever one of them does, the others are noted
                failure = error
        if failure is not None:
            raise failure

    def take(self, note: _Note) -> None:
        """Note this at the end, or at once where that is over: what was begun in the context may outlive it."""
        if self._is_open:
            self._notes.append(note)
        else:
            note()


_CURRENT: ContextVar[Afterwards | None] = ContextVar("trunkline_afterwards", default=None)


def afterwards(note: _Note) -> None:
    """Note this after the answer of the request under way, or at once where nobody sees to that."""
    current = _CURRENT.get()
    if current is None:
        note()
    else:
        current.take(note)
