"""References within a schema: each made a plain pointer to a known place, or the schema is refused.

No reference is ever fetched (MCP forbids it, and a schema is a stranger's text). Below `document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from trunkline.registry.wording import quoted, shortened

__all__ = ["Reference", "UnusableSchema", "child", "close_references"]

_SAME_VALUE = frozenset({"allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"})
"""Keywords whose subschemas apply to the very value their own schema applies to."""


class UnusableSchema(ValueError):
    """Arguments cannot be checked against this schema; the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference as it was written."""

    holder: dict[str, Any]
    """The schema of the copy that refers."""
    at: str
    """That schema's JSON pointer."""
    target: str
    """A URI reference."""


def child(at: str, name: str) -> str:
    """The JSON pointer of the member `name` of the value at `at` (RFC 6901)."""
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"


def close_references(
    schemas: Mapping[str, Any],
    references: Sequence[Reference],
    anchors: Mapping[str, str],
    *,
    base: str,
    has_parts: bool,
) -> None:
    """Rewrite every reference as the JSON pointer of one of `schemas`.

    `base` is the document's own URI, `has_parts` whether parts of it have URIs of their own. Raises `UnusableSchema`
    for a reference that leaves the document or leads nowhere, and for references that go round without end.
    """
    if references and has_parts:
        msg = "references between parts with URIs of their own are not followed"
        raise UnusableSchema(msg)
    onward: dict[str, list[str]] = {}
    for reference in references:
        uri, _, fragment = reference.target.partition("#")
        if uri and uri != base.partition("#")[0]:
            msg = f"the reference {quoted(reference.target)} leads to another document, and none is ever fetched"
            raise UnusableSchema(msg)
        name = unquote(fragment)
        pointer = name if not name or name.startswith("/") else anchors.get(name)
        if pointer is None or pointer not in schemas:
            msg = f"the reference {quoted(reference.target)} leads nowhere"
            raise UnusableSchema(msg)
        reference.holder["$ref"] = f"#{quote(pointer, safe='/~')}"
        onward.setdefault(reference.at, []).append(pointer)
    if onward:
        _refuse_loops(schemas, onward)


def _refuse_loops(schemas: Mapping[str, Any], onward: dict[str, list[str]]) -> None:
    """Depth first over everything that applies to one and the same value: meeting one's own path is a loop."""
    for at in schemas:
        parent, applies = _applied_by(at, schemas)
        if applies:
            onward.setdefault(parent, []).append(at)
    done: set[str] = set()
    for start in schemas:
        path: dict[str, None] = {}
        pending: list[tuple[str, bool]] = [(start, False)]
        while pending:
            at, is_left = pending.pop()
            if is_left:
                path.pop(at)
                done.add(at)
            elif at in path:
                msg = f"the schema at #{shortened(at)} refers to itself without end"
                raise UnusableSchema(msg)
            elif at not in done:
                path[at] = None
                pending.append((at, True))
                pending.extend((further, False) for further in onward.get(at, ()))


def _applied_by(at: str, schemas: Mapping[str, Any]) -> tuple[str, bool]:
    """The schema around the one at `at`, and whether both apply to the same value."""
    around, _, last = at.rpartition("/")
    if around in schemas and last in _SAME_VALUE:
        return around, True
    around, _, keyword = around.rpartition("/")
    return around, around in schemas and keyword in _SAME_VALUE
