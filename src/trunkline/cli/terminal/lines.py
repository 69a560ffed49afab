"""Lines for a terminal: pieces of text with a style, cut to a width that counts what each character takes.

Every text may come from a server that nobody vouches for: `plain` takes out what could rewrite a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from trunkline.registry.wording import printable

__all__ = ["Line", "Look", "Piece", "Style", "columns", "cut", "fit", "painted", "plain"]

Style: TypeAlias = Literal["", "bold", "dim", "good", "bad", "warn", "title", "chosen"]

Look: TypeAlias = Literal["bare", "plain", "coloured"]
"""No codes at all, those that are no colours, or all."""

_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bold": "1",
        "dim": "2",
        "good": "32",
        "bad": "1;31",
        "warn": "33",
        "title": "1;36",
        "chosen": "7",
    }
)
_STYLES: Final[Mapping[Look, frozenset[str]]] = MappingProxyType(
    {"bare": frozenset(), "plain": frozenset({"bold", "dim", "chosen"}), "coloured": frozenset(_CODES)}
)
_PARTS: Final = 400
"""Characters of a text that are looked at, at most: more than a line has."""


class Piece(NamedTuple):
    """Some text in one style."""

    text: str
    style: Style = ""


Line: TypeAlias = list[Piece]


def plain(text: Any) -> str:
    """`text` on one line, without control characters and without what is not seen."""
    return " ".join(printable(str(text)[:_PARTS].replace("\n", " ").replace("\t", " ")).split())


def columns(text: str) -> int:
    """How many columns a terminal takes for `text`."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns, an ellipsis marking a cut."""
    if columns(text) <= width:
        return text
    taken, used = [], 1
    for character in text:
        used += _columns(character)
        if used > width:
            break
        taken.append(character)
    return "".join(taken).rstrip() + "…" if width > 0 else ""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` columns."""
    short = cut(text, width)
    gap = " " * (width - columns(short))
    return gap + short if right else short + gap


def painted(line: Iterable[Piece], width: int, look: Look) -> str:
    """The line as a terminal takes it, at most `width` columns, with the ANSI codes of its styles."""
    written, left = [], width
    for text, style in line:
        shown = cut(text, left)
        left -= columns(shown)
        is_styled = bool(shown) and style in _STYLES[look]
        written.append(f"\x1b[{_CODES[style]}m{shown}\x1b[0m" if is_styled else shown)
    return "".join(written)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
