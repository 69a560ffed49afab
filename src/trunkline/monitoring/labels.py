"""Label values that are safe to keep and to print: names come from servers nobody vouches for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

__all__ = [
    "LABEL_LENGTH",
    "OTHER",
    "UNKNOWN",
    "Labels",
    "clean",
    "clean_all",
    "code_text",
    "is_failure",
    "outcome_class",
    "paired",
]

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) of each label."""

LABEL_LENGTH: Final = 128
"""Characters a label value may have; the rest is cut."""

OTHER: Final = "_other"
"""Where everything is counted for which a metric has no series left."""

UNKNOWN: Final = "_unknown"
"""The name of a tool that no server has: what a caller made up must not become a label."""

_CODES: Final = ((-32603, -32600), (-32099, -32000), (31000, 31099))


def clean(value: object, length: int = LABEL_LENGTH) -> str:
    """Return `value` as text without control characters, cut to `length` characters."""
    text = value if isinstance(value, str) else str(value)
    if len(text) <= length and text.isprintable():
        return text
    # A name may be megabytes long; only its beginning is looked at.
    return "".join(filter(str.isprintable, text[: 8 * length]))[:length]


def paired(names: Iterable[str], values: Iterable[str]) -> Labels:
    """Return names and values as labels. An empty value is no label, as Prometheus has it; so is an empty name."""
    return tuple((name, value) for name, value in zip(names, values, strict=True) if name and value)


def clean_all(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return `values` as `clean` makes them; the very same tuple where they are clean already, as most are."""
    try:
        text = "".join(values)
    except TypeError:
        return tuple(map(clean, values))
    return values if len(text) <= LABEL_LENGTH and text.isprintable() else tuple(map(clean, values))


def code_text(code: int | None) -> str:
    """Return a JSON-RPC error code as a label; empty for none.

    Those that JSON-RPC and MCP assign, and those of Trunkline's own gateway; a server that makes up codes gets
    `_OTHER`, the conventions' word.
    """
    if code is None:
        return ""
    is_known = code == -32700 or any(first <= code <= last for first, last in _CODES)
    return str(code) if is_known else "_OTHER"


def is_failure(outcome: str) -> bool:
    """Whether `outcome` counts as an error. What its caller cancelled is a request, and nobody's fault."""
    return outcome not in ("ok", "cancelled")


def outcome_class(outcome: str) -> str:
    """Return `ok`, `cancelled` or `error`."""
    return "error" if is_failure(outcome) else outcome
