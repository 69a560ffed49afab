"""What commands print: results on standard output, as tables for people or as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from trunkline.registry.wording import printable

__all__ = ["cell", "print_json", "print_table", "shown"]


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    print(shown(json.dumps(value, indent=2, ensure_ascii=False)))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print left-aligned columns; the last one may be as long as it likes."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print(line.rstrip())


def cell(text: str, limit: int = 80) -> str:
    """`text` on one line without control characters, at most `limit` characters."""
    line = " ".join(printable(text, breaks=True).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def shown(text: str) -> str:
    """`text` as it is for a program; without control characters for a terminal, which they could rewrite."""
    return printable(text, breaks=True) if sys.stdout.isatty() else text
