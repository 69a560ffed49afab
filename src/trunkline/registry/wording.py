"""How text from elsewhere is shown: without control characters, cut to size, and with the nearest known names.

Names, descriptions and values come from servers and callers that nobody vouches for.
"""

from __future__ import annotations

import difflib
import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

__all__ = ["difference", "kind_of", "listed", "nearest", "printable", "quoted", "shortened"]

# C0 and C1 controls, surrogates (no UTF-8 exists for them), bidirectional overrides and invisible tag characters:
# the last two make a text read differently to a person than to a model.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")
_UNSEEN_OR_BREAK = re.compile(f"[\t\n\u2028\u2029]|{_UNSEEN.pattern}")

_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        type(None): "null",
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
)

_COMPARED = 64
"""Characters of a name that take part in a comparison: its cost grows with the square of the length."""
_RANKED = 10_000
"""Names looked at for a first, cheap ranking."""
_CANDIDATES = 100
"""Names that are compared exactly."""
_CONTAINED = 3
"""Characters from which a name that lies within another one counts as near."""
_PRINTED_BITS = 256
"""Integers wider than this are described, not printed: Python refuses to print those of many thousand digits."""


def printable(text: str, *, breaks: bool = False) -> str:
    """`text` without control characters; tabs and line breaks stay where `breaks` is true."""
    return (_UNSEEN if breaks else _UNSEEN_OR_BREAK).sub("", text)


def shortened(text: str, limit: int = 60) -> str:
    """`text` on one line without control characters, at most `limit` characters, an ellipsis marking a cut."""
    head = printable(text[: limit * 2])
    return head if len(head) <= limit and len(text) <= limit * 2 else f"{head[: limit - 1]}…"


def quoted(value: Any, limit: int = 60) -> str:
    """A short JSON-like rendering of one value: scalars themselves, containers by their size only."""
    match value:
        case str():
            return json.dumps(shortened(value, limit), ensure_ascii=False)
        case dict():
            return f"an object with {len(value)} {'key' if len(value) == 1 else 'keys'}"
        case list():
            return f"an array of {len(value)} {'item' if len(value) == 1 else 'items'}"
        case None | bool():
            return json.dumps(value)
        case int() if value.bit_length() > _PRINTED_BITS:
            return f"a number of {value.bit_length()} bits"
        case _:
            return shortened(repr(value), limit)


def kind_of(value: Any) -> str:
    """The JSON type of `value`, or the Python type's name of something that is not JSON."""
    return _KINDS.get(type(value), type(value).__name__)


def listed(values: Iterable[Any], limit: int = 8) -> str:
    """The first `limit` values, quoted and separated by commas; an ellipsis says that there are more."""
    shown = [quoted(value, 40) for value in islice(values, limit + 1)]
    return ", ".join([*shown[:limit], "…"] if len(shown) > limit else shown)


def nearest(name: str, names: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """At most `count` of `names` that `name` may have been meant to be, the nearest first.

    Similarity is difflib's ratio of at least 0.6, case ignored; names that contain `name`, or lie within it, follow.
    The work is bounded whatever the number and length of the names.
    """
    wanted = name[:_COMPARED].casefold()
    ranked = list(islice(names, _RANKED))
    if len(ranked) > _CANDIDATES:
        pairs = _pairs(wanted)
        ranked = heapq.nlargest(_CANDIDATES, ranked, key=lambda known: len(pairs & _pairs(known[:_COMPARED])))
    folded: dict[str, str] = {}
    for known in ranked:
        folded.setdefault(known[:_COMPARED].casefold(), known)
    close = [folded[match] for match in difflib.get_close_matches(wanted, folded, n=count)]
    if len(wanted) >= _CONTAINED:
        close += [
            known
            for key, known in folded.items()
            if known not in close and (wanted in key or (key in wanted and len(key) >= _CONTAINED))
        ]
    return tuple(close[:count])


def _pairs(text: str) -> set[str]:
    return {text[at : at + 2].casefold() for at in range(len(text) - 1)}


def difference(added: Sequence[str], removed: Sequence[str]) -> str:
    """What came and went, in words: "2 added: a, b; 1 removed: c"."""
    parts = [
        f"{len(names)} {what}: {listed(names)}" for what, names in (("added", added), ("removed", removed)) if names
    ]
    return "; ".join(parts)
