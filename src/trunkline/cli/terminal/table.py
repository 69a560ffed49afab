"""Tables that leave out, where a terminal is narrow, the columns one can do without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from trunkline.cli.terminal.lines import Line, Piece, Style, columns, fit

__all__ = ["Column", "Row", "table"]

Row: TypeAlias = Mapping[str, Any]
_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and how it is filled from a row."""

    head: str
    width: int
    text: Callable[[Row], str]
    style: Callable[[Row], Style] = lambda _row: ""
    right: bool = True


def table(
    name: str, wanted: Sequence[Column], rows: Sequence[tuple[str, Row]], width: int, chosen: str | None = None
) -> list[Line]:
    """Return the head and a line for each row. Of `wanted`, which are told by importance, those that fit are shown.

    The first column holds the names, in the room that is left; `chosen` is the name of the row that is marked.
    """
    longest = max((columns(label) for label, _ in rows), default=0)
    room = width - 2 - max(min(longest, 24), len(name), 8)
    shown = []
    for column in wanted:
        if column.width + _GAP > room:
            break
        room -= column.width + _GAP
        shown.append(column)
    label_width = width - 2 - sum(column.width + _GAP for column in shown)
    label_width = min(label_width, max(longest, len(name), 8))
    head = [Piece(f"  {fit(name, label_width)}", "dim")]
    head += [Piece(" " * _GAP + fit(column.head, column.width, right=column.right), "dim") for column in shown]
    lines = [head]
    for label, row in rows:
        mark: Style = "chosen" if label == chosen else ""
        line = [Piece(f"{'▸' if mark else ' '} {fit(label, label_width)}", mark)]
        for column in shown:
            line.append(Piece(" " * _GAP))
            line.append(Piece(fit(column.text(row), column.width, right=column.right), column.style(row)))
        lines.append(line)
    return lines
