"""How much of a change is told at once: what matters at once, and of mere numbers a few rows in turn. Pure.

Two hundred busy servers change two hundred rows a second, which nobody can read and every viewer has to be sent.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Turns"]

ROWS: Final = 40
"""Rows whose numbers are told at once."""
_KINDS: Final = ("domains", "servers")
_AT_ONCE: Final = frozenset({"state", "since", "reason", "circuit", "alert"})


class Turns:
    """Remembers which rows wait to be told, and for how long."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], int] = {}
        """How often each row had to wait since its numbers were last told."""

    def taken(self, patch: dict[str, Any]) -> dict[str, Any]:
        """Return as much of `patch` as is to be told now; the rest will be in the next one, if it is still so."""
        rows = [(kind, name) for kind in _KINDS for name, row in patch.get(kind, {}).items() if _may_wait(row)]
        if len(rows) <= ROWS:
            self._waiting.clear()
            return patch
        rows.sort(key=lambda row: -self._waiting.get(row, 0))
        self._waiting = {row: self._waiting.get(row, 0) + 1 for row in rows[ROWS:]}
        kept: dict[str, Any] = {
            kind: {name: row for name, row in patch[kind].items() if (kind, name) not in self._waiting}
            for kind in _KINDS
            if kind in patch
        }
        return {name: value for name, value in {**patch, **kept}.items() if value != {}}


def _may_wait(row: dict[str, Any] | None) -> bool:
    return row is not None and _AT_ONCE.isdisjoint(row)
