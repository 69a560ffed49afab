"""What is noted of a request once its answer is out: nobody has to wait for that. Beside the direct way of a call.

It is noted in the same step of the loop in which the answer goes out, so that whoever has that finds it noted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Self, TypeAlias

__all__ = ["Afterwards", "afterwards"]

_Note: TypeAlias = Callable[[], None]
_NOTES: ContextVar[list[_Note] | None] = ContextVar("trunkline_afterwards", default=None)


def afterwards(note: _Note) -> None:
    """Note this after the answer of the request under way, or at once where nobody sees to that."""
    notes = _NOTES.get()
    if notes is None:
        note()
    else:
        notes.append(note)


class Afterwards:
    """As a context: what is to be noted afterwards is noted at its end, however that comes about."""

    def __init__(self) -> None:
        self._notes: list[_Note] = []
        self._token: Token[list[_Note] | None] | None = None

    def __enter__(self) -> Self:
        self._token = _NOTES.set(self._notes)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _NOTES.reset(self._token)
        for note in self._notes:
            note()
