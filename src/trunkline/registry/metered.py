"""jsonschema with a meter: every keyword of every draft pays for its work before it does it.

A schema of a few hundred bytes can ask for exponential work (references to references, alternatives within
alternatives), so size limits alone bound nothing; the meter does. Below `schema`, above jsonschema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from jsonschema import exceptions, validators  # type: ignore[import-untyped]

from trunkline.registry.pattern import PatternWork

__all__ = ["BUDGET", "DIALECTS", "LATEST", "Meter", "OutOfBudget"]

BUDGET: Final = 10_000
"""Steps one validation may take; a step is about one keyword applied to one value, 10 to 50 microseconds."""
_MATCHES = 250
"""Ways through a regular expression that cost as much as one step."""
_PRINTED = 64
"""Characters of an error message that cost as much as one step: jsonschema prints the whole value into each."""
_LOOKED_UP = 16
"""Names or values looked up that cost as much as one step."""

_PER_MEMBER = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "dependentSchemas", "dependencies"})
_PER_VALUE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "items",
        "patternProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_BY_PATTERN = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})

_Check = Callable[[Any, Any, Any, Any], Any]


class OutOfBudget(Exception):
    """The validation would take more steps than it may: a signal to `schema`, never an error to a user."""


@dataclass(slots=True)
class Meter:
    """The steps one validation has left.

    It travels in the place of the format checker, the one argument that jsonschema hands down to every subschema
    untouched; `format` is an annotation here and never looked at.
    """

    patterns: Mapping[str, PatternWork]
    """The work of every regular expression in the schema."""
    left: int = BUDGET

    def charge(self, steps: int) -> None:
        """Take `steps` off what is left. Raises `OutOfBudget` when that is not enough."""
        self.left -= steps
        if self.left < 0:
            raise OutOfBudget

    def charge_match(self, pattern: str, text: str) -> None:
        """Pay for one search of `pattern` in `text`. Raises `OutOfBudget`."""
        self.charge(self.patterns[pattern].steps(len(text)) // _MATCHES)


def _price(keyword: str, value: Any, instance: Any) -> int:
    # Following a reference also walks its pointer.
    price = 2 if keyword == "$ref" else 1
    if isinstance(value, list | dict):
        price += len(value) if keyword in _PER_MEMBER else len(value) // _LOOKED_UP
    if keyword in _PER_VALUE and isinstance(instance, list | dict):
        price += len(instance)
    return price


def _metered(keyword: str, check: _Check) -> _Check:
    def metered(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        meter: Meter = validator.format_checker
        meter.charge(_price(keyword, value, instance))
        if keyword == "pattern" and isinstance(instance, str):
            meter.charge_match(value, instance)
        elif keyword in _BY_PATTERN and isinstance(instance, dict):
            for pattern in schema.get("patternProperties", ()):
                meter.charge(len(instance) // _LOOKED_UP)
                for name in instance:
                    meter.charge_match(pattern, name)
        for error in check(validator, value, instance, schema) or ():
            meter.charge(len(error.message) // _PRINTED)
            yield error

    return metered


def _unique_items(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """In place of jsonschema's, which compares every item with every other where they cannot be sorted."""
    if wanted and isinstance(instance, list):
        meter: Meter = validator.format_checker
        seen = set()
        for item in instance:
            seen.add(_frozen(item, meter))
        if len(seen) < len(instance):
            yield exceptions.ValidationError("items are not unique")


def _frozen(value: Any, meter: Meter) -> object:
    """A hashable stand-in that is equal exactly where JSON values are: 1 is 1.0, and neither is true."""
    match value:
        case bool():
            return ("boolean", value)
        case list():
            meter.charge(1 + len(value) // _LOOKED_UP)
            return ("array", tuple(_frozen(item, meter) for item in value))
        case dict():
            meter.charge(1 + len(value) // _LOOKED_UP)
            return ("object", frozenset((name, _frozen(item, meter)) for name, item in value.items()))
        case _:
            return value


def _extended(dialect: Any) -> Any:
    checks = {keyword: _metered(keyword, check) for keyword, check in dialect.VALIDATORS.items() if keyword != "format"}
    checks["uniqueItems"] = _metered("uniqueItems", _unique_items)
    return validators.extend(dialect, checks)


LATEST: Final = "https://json-schema.org/draft/2020-12/schema"
"""The dialect of a schema that names none (MCP 2025-11-25, "JSON Schema usage")."""

DIALECTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        dialect.META_SCHEMA["$schema"].rstrip("#"): _extended(dialect)
        for dialect in (
            validators.Draft202012Validator,
            validators.Draft201909Validator,
            validators.Draft7Validator,
            validators.Draft6Validator,
            validators.Draft4Validator,
        )
    }
)
"""Metered validator classes of jsonschema by `$schema` without its fragment."""
