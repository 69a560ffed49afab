"""A server's schema, reduced to the part that can be checked safely: bounded, well-formed, closed in itself.

The reduced copy holds known keywords only, so that nothing in it can switch the dialect, rename the document or
be taken for a schema by accident. Below `schema`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trunkline.registry.keywords import (
    ANCHORS,
    COMPANIONS,
    CONTAINERS,
    NAMED,
    PLAIN,
    REFERENCES,
    SCHEMA,
    SCHEMAS,
    TURNING,
    are_strings,
)
from trunkline.registry.metered import DIALECTS, LATEST
from trunkline.registry.pattern import PatternWork, RefusedPattern, measure
from trunkline.registry.references import Reference, UnusableSchema, child, close_references
from trunkline.registry.wording import quoted, shortened

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Document", "UnusableSchema", "read_document"]

MAX_DEPTH: Final = 64
"""Objects and arrays within each other."""
MAX_NODES: Final = 20_000
"""Objects, arrays and scalars in all."""
MAX_BYTES: Final = 256 * 1024
"""Serialized."""
_MAX_PATTERNS: Final = 10_000
"""Characters of regular expressions in all, which bounds the time it takes to compile them."""
_PATTERN: Final = 50
"""Characters whose compilation takes as long as starting on a pattern does."""

_ANY_NAME: Final = "^"
"""Matches every name; the empty pattern would too, but jsonschema takes it for no pattern at all."""


@dataclass(frozen=True, slots=True)
class Document:
    """A schema that can be checked against."""

    schema: dict[str, Any]
    """The reduced copy."""
    dialect: Any
    """The metered validator class of jsonschema it is written for."""
    patterns: Mapping[str, PatternWork]
    """Every regular expression left in it."""
    ignored: tuple[str, ...] = ()
    """One line per regular expression that is not enforced."""


def read_document(schema: object) -> Document:
    """Reduce `schema`. Raises `UnusableSchema` with the reason when arguments cannot be checked against it."""
    if not isinstance(schema, dict):
        msg = "the schema is not a JSON object"
        raise UnusableSchema(msg)
    _check_bounds(schema)
    named = schema.get("$schema", LATEST)
    dialect = DIALECTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if dialect is None:
        msg = f"the dialect {quoted(named)} is not known"
        raise UnusableSchema(msg)
    return _Reduction(schema, dialect, named).document()


def _check_bounds(schema: dict[str, Any]) -> None:
    level: list[Any] = [schema]
    nodes = depth = 0
    # One level at a time and without recursion: the depth is what is being bounded.
    while level:
        nodes += len(level)
        depth += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH + 1:
            msg = f"the schema is larger than {MAX_NODES} nodes or deeper than {MAX_DEPTH} levels"
            raise UnusableSchema(msg)
        objects = [item for item in level if isinstance(item, dict)]
        if not all(isinstance(name, str) for item in objects for name in item):
            msg = "the schema is not JSON"
            raise UnusableSchema(msg)
        inner = [item for item in level if isinstance(item, list)]
        level = [member for item in (*(item.values() for item in objects), *inner) for member in item]
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError) as error:
        msg = "the schema is not JSON"
        raise UnusableSchema(msg) from error
    if size > MAX_BYTES:
        msg = f"the schema is larger than {MAX_BYTES} bytes"
        raise UnusableSchema(msg)


@dataclass(slots=True)
class _Reduction:
    """Walks one schema by the positions in which the dialect expects schemas; its depth is already bounded."""

    source: dict[str, Any]
    dialect: Any
    named: str
    schemas: dict[str, Any] = field(default_factory=dict)
    """Every schema of the copy by its JSON pointer."""
    anchors: dict[str, str] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    patterns: dict[str, PatternWork] = field(default_factory=dict)
    patterned: int = 0
    """Characters of regular expressions so far."""
    ignored: dict[str, str] = field(default_factory=dict)
    is_turning: bool = False
    has_parts: bool = False

    def document(self) -> Document:
        copy = self._schema(self.source, "")
        if self.ignored and self.is_turning:
            msg = f"a regular expression cannot be enforced ({next(iter(self.ignored.values()))})"
            raise UnusableSchema(msg)
        base = self.source.get("$id", self.source.get("id"))
        close_references(
            self.schemas,
            self.references,
            self.anchors,
            base=base if isinstance(base, str) else "",
            has_parts=self.has_parts,
        )
        return Document(copy, self.dialect, self.patterns, tuple(self.ignored.values()))

    def _schema(self, node: Any, at: str, *, may_be_flag: bool = False) -> Any:
        if isinstance(node, bool) and (may_be_flag or self.dialect.META_SCHEMA.get("$id")):
            self.schemas[at] = node
            # What fits nothing: the plain false would make jsonschema forget where it was met.
            return node or {"not": {}}
        if not isinstance(node, dict):
            raise _malformed(at, node, "a schema")
        copy: dict[str, Any] = {}
        self.schemas[at] = copy
        self._note_names(node, at)
        # What was evaluated is asked for last: jsonschema answers it by unpaid work, which by then has been paid for.
        for keyword in sorted(node, key=lambda keyword: keyword.startswith("unevaluated")):
            known = keyword in self.dialect.VALIDATORS or keyword in COMPANIONS or keyword in CONTAINERS
            if known:
                self._keyword(copy, keyword, node[keyword], at)
        return copy

    def _note_names(self, node: dict[str, Any], at: str) -> None:
        if at and isinstance(node.get("$schema"), str) and node["$schema"].rstrip("#") != self.named.rstrip("#"):
            msg = "the schema mixes dialects"
            raise UnusableSchema(msg)
        for keyword in ("$anchor", "$dynamicAnchor", "$id", "id"):
            name = node.get(keyword)
            if not isinstance(name, str) or (keyword == "id" and "$id" in self.dialect.META_SCHEMA):
                continue
            if keyword in ANCHORS:
                self.anchors.setdefault(name, at)
            elif name.startswith("#"):
                self.anchors.setdefault(name[1:], at)
            elif at:
                self.has_parts = True

    def _keyword(self, copy: dict[str, Any], keyword: str, value: Any, at: str) -> None:
        here = child(at, keyword)
        self.is_turning |= keyword in TURNING
        if keyword in REFERENCES:
            self._reference(copy, value, at)
        elif keyword in ("pattern", "patternProperties"):
            self._patterned(copy, keyword, value, here)
        elif keyword in NAMED:
            copy[keyword] = self._named(value, here)
        elif keyword in SCHEMAS or (keyword == "items" and isinstance(value, list) and self._has_item_lists):
            if not isinstance(value, list) or not (value or keyword == "items"):
                raise _malformed(here, value, "a list of schemas")
            copy[keyword] = [self._schema(item, child(here, str(index))) for index, item in enumerate(value)]
        elif keyword in SCHEMA:
            # Draft 4 has no schemas that are just true or false, but for what is additional.
            reduced = self._schema(value, here, may_be_flag=keyword.startswith("additional"))
            copy[keyword] = reduced if value is not False else False
        elif (is_fit := PLAIN.get(keyword)) is not None:
            # Draft 4 has a flag beside the limit where later ones have a limit of its own.
            is_flag = keyword.startswith("exclusive") and keyword not in self.dialect.VALIDATORS
            if not (isinstance(value, bool) if is_flag else is_fit(value)):
                raise _malformed(here, value, f"what {keyword} takes")
            copy[keyword] = value

    @property
    def _has_item_lists(self) -> bool:
        return "prefixItems" not in self.dialect.VALIDATORS

    def _reference(self, copy: dict[str, Any], value: Any, at: str) -> None:
        if not isinstance(value, str) or "$ref" in copy:
            raise _malformed(at, value, "one reference")
        copy["$ref"] = value
        self.references.append(Reference(copy, at, value))

    def _named(self, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _malformed(at, value, "an object of schemas")
        is_list = at.endswith("/dependencies")
        return {
            name: item if is_list and are_strings(item) else self._schema(item, child(at, name))
            for name, item in value.items()
        }

    def _patterned(self, copy: dict[str, Any], keyword: str, value: Any, at: str) -> None:
        if keyword == "pattern":
            if not isinstance(value, str):
                raise _malformed(at, value, "a regular expression")
            if self._enforces(value):
                copy[keyword] = value
            return
        kept = {name: item for name, item in self._named(value, at).items() if self._enforces(name)}
        if len(kept) < len(value):
            # Its names are unknown now: any name may be one of them, and none may be refused as additional.
            self.patterns[_ANY_NAME] = PatternWork()
            kept.setdefault(_ANY_NAME, True)
        copy[keyword] = kept

    def _enforces(self, pattern: str) -> bool:
        if pattern in self.patterns or pattern in self.ignored:
            return pattern in self.patterns
        self.patterned += len(pattern) + _PATTERN
        if self.patterned > _MAX_PATTERNS:
            self.ignored[pattern] = f"{shortened(pattern)}: too many regular expressions in one schema"
            return False
        try:
            self.patterns[pattern] = measure(pattern)
        except RefusedPattern as refusal:
            self.ignored[pattern] = f"{shortened(pattern)}: {refusal}"
        return pattern in self.patterns


def _malformed(at: str, found: Any, expected: str) -> UnusableSchema:
    return UnusableSchema(f"#{shortened(at)}: found {quoted(found)}, expected {expected}")
