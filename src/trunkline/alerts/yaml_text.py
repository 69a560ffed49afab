"""JSON-able data as YAML that people read: blocks for texts of several lines, quotes where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["yaml_text"]

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:ms|s|m|h)")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What a reader of YAML 1.1 would not take for a text."""


def yaml_text(value: Mapping[str, Any]) -> str:
    """Return `value` as one YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{_scalar(key)}:", item)
        return
    for item in value:
        # The first line of an item stands behind its dash, the others below it.
        first, *rest = _lines(item) if _is_nested(item) else [_scalar(item)]
        yield f"- {first}"
        for line in rest:
            yield f"  {line}" if line else line


def _entry(head: str, item: Any) -> Iterator[str]:
    if _is_nested(item):
        yield head
        for line in _lines(item):
            yield f"  {line}" if line else line
    elif isinstance(item, str) and "\n" in item:
        yield f"{head} |-"
        for line in item.splitlines():
            yield f"  {line}"
    else:
        yield f"{head} {_scalar(item)}"


def _is_nested(item: Any) -> bool:
    return isinstance(item, Mapping | Sequence) and not isinstance(item, str) and bool(item)


def _scalar(item: Any) -> str:
    if isinstance(item, str) and _PLAIN.fullmatch(item) and item.lower() not in _WORDS:
        return item
    return json.dumps(item, ensure_ascii=False)
