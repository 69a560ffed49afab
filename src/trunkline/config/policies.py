"""Turns a table of a configuration into a policy: the policy's own fields, types and checks are the only schema.

A key is a field's name. A table changes only what it names, so the same step serves built-in defaults, the file's
`defaults` and one server's own table, laid over one another.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from trunkline.config.lines import KeyPath
from trunkline.config.report import Report

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["overlay", "refusal"]

_LARGEST = 2**63 - 1
_EXPECTED: Final = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "a string", NoneType: ""}
)

Policy = TypeVar("Policy", bound="DataclassInstance")


def overlay(
    base: Policy,
    table: object,
    path: KeyPath,
    report: Report,
    *,
    elsewhere: Collection[str] = (),
) -> Policy:
    """Return `base` with the fields that `table`, which stands at `path`, names; nested tables likewise.

    Whatever does not fit is reported and left as it is in `base`. Keys in `elsewhere` are somebody else's to read.
    Raises TypeError where a policy has a field of a type that no configuration can express.
    """
    if not isinstance(table, Mapping):
        report.mismatch(path, "a table")
        return base
    hints = get_type_hints(type(base))
    # A key that is a word of Python stands in the policy with an underscore behind it.
    names = {entry.name.removesuffix("_"): entry.name for entry in fields(base)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        at = (*path, key)
        if key in elsewhere:
            continue
        if key not in names:
            report.unknown(at, [*names, *elsewhere])
            continue
        name = names[key]
        if is_dataclass(nested := getattr(base, name)) and not isinstance(nested, type):
            values[name] = overlay(nested, value, at, report)
        elif _fits(hints[name], value):
            values[name] = _taken(hints[name], value)
        else:
            report.mismatch(at, _expectation(hints[name]))
    return _replaced(base, values, path, report)


def refusal(error: ValueError) -> tuple[str, str]:
    """Return the field a policy refused and what it expected there, without the value it found."""
    text = str(error)
    return text.partition(" = ")[0], text.rpartition(": expected ")[2]


def _replaced(base: Policy, values: dict[str, Any], path: KeyPath, report: Report) -> Policy:
    # A policy stops at its first refusal: what it refused is taken out and it is asked again, until all are known.
    while True:
        try:
            return replace(base, **values)
        except ValueError as error:
            name, expected = refusal(error)
            if name not in values:
                report.problem(path, f"{name} does not fit the rest, expected {expected}")
                return base
            report.mismatch((*path, name.removesuffix("_")), expected)
            del values[name]


def _kinds(hint: object) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _taken(hint: object, value: Any) -> Any:
    """A value that fits, in the type of the policy's field."""
    kinds = _kinds(hint)
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in kinds and int not in kinds:
        return float(value)
    return value


def _fits(hint: object, value: object) -> bool:
    return any(_is_a(kind, value) for kind in _kinds(hint))


def _is_a(kind: object, value: object) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is Mapping:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if kind not in _EXPECTED:
        message = f"a policy's field is of type {kind!r}, which no configuration can express"
        raise TypeError(message)
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int):
        return kind in (int, float) and abs(value) <= _LARGEST
    if isinstance(value, float):
        return kind is float and math.isfinite(value)
    if isinstance(value, str):
        return kind is str
    return value is None and kind is NoneType


def _expectation(hint: object) -> str:
    texts: list[str] = []
    for kind in _kinds(hint):
        if get_origin(kind) is Literal:
            texts.extend(f'"{choice}"' for choice in get_args(kind))
        elif get_origin(kind) is Mapping:
            texts.append("a table")
        elif kind == tuple[str, ...]:
            texts.append("an array of strings")
        elif kind is not NoneType:
            texts.append(_EXPECTED[kind])
    return " or ".join(texts)
