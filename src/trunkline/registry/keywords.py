"""The vocabulary of JSON Schema, drafts 4 to 2020-12, by the shape of each keyword's value. Below `document`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = [
    "ANCHORS",
    "COMPANIONS",
    "CONTAINERS",
    "NAMED",
    "PLAIN",
    "REFERENCES",
    "SCHEMA",
    "SCHEMAS",
    "TURNING",
    "are_strings",
]

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
SCHEMA = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})
CONTAINERS = frozenset({"$defs", "definitions"})
COMPANIONS = frozenset({"else", "exclusiveMaximum", "exclusiveMinimum", "maxContains", "minContains", "then"})
"""Keywords that jsonschema reads as part of another one, so that its table does not list them."""
REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
ANCHORS = frozenset({"$anchor", "$dynamicAnchor"})
TURNING = frozenset({"contains", "if", "not", "oneOf"})
"""Where a looser part can make the whole stricter."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def are_strings(value: Any) -> bool:
    """Whether `value` is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "const": lambda _: True,
        "dependentRequired": lambda value: isinstance(value, dict) and all(map(are_strings, value.values())),
        "enum": lambda value: isinstance(value, list),
        "exclusiveMaximum": _is_number,
        "exclusiveMinimum": _is_number,
        "maximum": _is_number,
        "minimum": _is_number,
        "multipleOf": lambda value: _is_number(value) and value > 0,
        "required": are_strings,
        "type": _is_type,
        "uniqueItems": lambda value: isinstance(value, bool),
        **dict.fromkeys(
            (
                *("maxContains", "maxItems", "maxLength", "maxProperties"),
                *("minContains", "minItems", "minLength", "minProperties"),
            ),
            _is_count,
        ),
    }
)
