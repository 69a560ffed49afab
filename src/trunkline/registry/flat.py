"""The quick yes: most schemas are flat objects of plain parameters, and most arguments fit them.

A `True` from here is a proof that the arguments are valid; anything else means only that jsonschema has to decide
(and to explain). So a check may be as narrow as it likes, never too wide. Below `schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

__all__ = ["flat_check"]

_Check: TypeAlias = Callable[[Any], bool]

_KINDS: Final[Mapping[str, frozenset[type]]] = MappingProxyType(
    {
        "array": frozenset({list}),
        "boolean": frozenset({bool}),
        "integer": frozenset({int}),
        "null": frozenset({type(None)}),
        "number": frozenset({int, float}),
        "object": frozenset({dict}),
        "string": frozenset({str}),
    }
)
"""Exact Python types: whole floats, say, are integers in some drafts only, and are left to jsonschema."""

_ROOT = frozenset({"$defs", "additionalProperties", "definitions", "properties", "required", "type"})
_LIMITS: Final[Mapping[str, Callable[[Any], Callable[[Any], bool]]]] = MappingProxyType(
    {
        "maxItems": lambda limit: lambda value: type(value) is not list or len(value) <= limit,
        "maxLength": lambda limit: lambda value: type(value) is not str or len(value) <= limit,
        "maximum": lambda limit: lambda value: type(value) not in _KINDS["number"] or value <= limit,
        "minItems": lambda limit: lambda value: type(value) is not list or len(value) >= limit,
        "minLength": lambda limit: lambda value: type(value) is not str or len(value) >= limit,
        "minimum": lambda limit: lambda value: type(value) not in _KINDS["number"] or value >= limit,
    }
)


def flat_check(schema: Mapping[str, Any]) -> Callable[[dict[str, Any]], bool] | None:
    """A check that proves arguments valid against `schema`, a reduced one; None when its shape is not flat."""
    if schema.get("type") != "object" or not schema.keys() <= _ROOT:
        return None
    checks = {name: _check(parameter) or _never for name, parameter in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    others = _check(schema.get("additionalProperties", True)) or _never

    def fits(arguments: dict[str, Any]) -> bool:
        if not required <= arguments.keys():
            return False
        for name, value in arguments.items():  # noqa: SIM110 - twice as fast as all() over a generator
            if not checks.get(name, others)(value):
                return False
        return True

    return fits


def _never(_value: Any) -> bool:
    return False


def _always(_value: Any) -> bool:
    return True


def _check(schema: Any) -> _Check | None:
    """A check that proves a value valid against `schema`; None when there is no quick one."""
    if schema is True:
        return _always
    if schema is False:
        return None
    checks: list[_Check] = []
    for keyword, value in schema.items():
        check = _keyword(keyword, value, schema)
        if check is None:
            return None
        checks.append(check)
    return _all_of(checks)


def _all_of(checks: list[_Check]) -> _Check:
    match checks:
        case []:
            return _always
        case [only]:
            return only
        case [first, second]:
            return lambda value: first(value) and second(value)
        case _:
            return lambda value: all(check(value) for check in checks)


def _keyword(keyword: str, value: Any, schema: Mapping[str, Any]) -> _Check | None:
    if keyword == "type":
        return _typed(value)
    if keyword == "enum" and all(type(item) is str for item in value):
        allowed = frozenset(value)
        return lambda found: type(found) is str and found in allowed
    if keyword == "anyOf":
        return _any_of(value)
    if keyword == "items" and isinstance(value, dict) and "prefixItems" not in schema:
        item = _check(value)
        return None if item is None else lambda found: type(found) is not list or all(map(item, found))
    # Beside a limit of its own, draft 4's flag would make it exclusive.
    if keyword in _LIMITS and not schema.keys() & {"exclusiveMaximum", "exclusiveMinimum"}:
        return _LIMITS[keyword](value)
    return None


def _typed(names: str | list[str]) -> _Check:
    kinds = frozenset[type]().union(*(_KINDS[name] for name in ([names] if isinstance(names, str) else names)))
    return lambda value: type(value) in kinds


def _any_of(schemas: list[Any]) -> _Check | None:
    if all(isinstance(schema, dict) and schema.keys() == {"type"} for schema in schemas):
        names = [schema["type"] for schema in schemas]
        return _typed([each for name in names for each in ([name] if isinstance(name, str) else name)])
    checks = [check for schema in schemas if (check := _check(schema)) is not None]
    return (lambda value: any(check(value) for check in checks)) if checks else None
