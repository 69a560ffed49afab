"""What is wrong with a call's arguments or its result, in lines that teach: where, what was found, what was expected.

Values of parameters whose names look secret are never shown, other values only short; the lines may reach logs and
language models. Below `schema`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from trunkline.registry.wording import kind_of, listed, nearest, quoted, shortened

__all__ = ["ARGUMENTS", "RESULT", "Subject", "explain"]


class Subject(NamedTuple):
    """What is checked, in words."""

    root: str
    """The whole: where a place in it begins."""
    part: str
    """One named value in it."""


ARGUMENTS: Final = Subject("arguments", "parameter")
RESULT: Final = Subject("result", "field")

_SECRET = re.compile(
    r"(?i)passw|passphrase|pwd|secret|token|api.?key|private.?key|auth|credential|cookie|session|bearer"
)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_KNOWN = 6
"""Names of known parameters shown to someone who used an unknown one."""
_COMPARED = 100
"""Unknown parameters considered as misspellings of a missing one."""

_EXPECTED: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "const": quoted,
        "contains": lambda _: "an item of the required kind among them, in the number required",
        "enum": lambda values: f"one of {listed(values)}",
        "exclusiveMaximum": lambda limit: f"less than {quoted(limit)}",
        "exclusiveMinimum": lambda limit: f"more than {quoted(limit)}",
        "items": lambda _: "no further items",
        "maxItems": lambda limit: f"at most {quoted(limit)} items",
        "maxLength": lambda limit: f"at most {quoted(limit)} characters",
        "maxProperties": lambda limit: f"at most {quoted(limit)} keys",
        "maximum": lambda limit: f"at most {quoted(limit)}",
        "minItems": lambda limit: f"at least {quoted(limit)} items",
        "minLength": lambda limit: f"at least {quoted(limit)} characters",
        "minProperties": lambda limit: f"at least {quoted(limit)} keys",
        "minimum": lambda limit: f"at least {quoted(limit)}",
        "multipleOf": lambda factor: f"a multiple of {quoted(factor)}",
        "not": lambda _: "a value that the schema does not exclude",
        "oneOf": lambda schemas: f"exactly one of {len(schemas)} alternatives to fit, but several do",
        "pattern": lambda pattern: f"a match of {quoted(pattern)}",
        "type": lambda names: names if isinstance(names, str) else " or ".join(names),
        "uniqueItems": lambda _: "items that all differ",
    }
)


def explain(errors: Iterable[Any], subject: Subject = ARGUMENTS) -> Iterator[str]:
    """Turn jsonschema's errors into lines, as they come; two errors may give the same line."""
    told: set[tuple[object, ...]] = set()
    for error in errors:
        # jsonschema has one error for each missing name; the first of them is told with all the others.
        told_as = (error.validator, id(error.schema), *error.absolute_path)
        if error.validator == "required" and told_as in told:
            continue
        told.add(told_as)
        yield from _lines(error, subject)


def _lines(error: Any, subject: Subject) -> Iterator[str]:
    where = _location(error.absolute_path, subject.root)
    match error.validator:
        case "required":
            yield from _missing(error, where, subject.part)
        case "additionalProperties" | "unevaluatedProperties" if error.validator_value is False:
            yield from _unknown(error, where, subject.part)
        case "dependentRequired" | "dependencies":
            yield f"{where}: {shortened(error.message, 120)}"
        case "anyOf" | "oneOf" if error.context:
            yield from _alternatives(error, where, subject)
        case None:
            yield f"{where}: not allowed"
        case "not" if error.validator_value == {}:
            yield f"{where}: not allowed"
        case keyword:
            expected = _EXPECTED.get(keyword, _unworded(keyword))(error.validator_value)
            hint = ""
            if keyword == "enum" and isinstance(error.instance, str):
                hint = _meant(error.instance, (value for value in error.validator_value if isinstance(value, str)))
            yield f"{where}: found {_found(error)}, expected {expected}{hint}"


def _unworded(keyword: str) -> Callable[[Any], str]:
    return lambda _: f"what {keyword!r} in the schema asks for"


def _location(path: Iterable[str | int], root: str) -> str:
    """`arguments.items[0].name`; names that are no identifiers are quoted in brackets."""
    steps = [root]
    for step in path:
        is_plain = isinstance(step, str) and _IDENTIFIER.fullmatch(step)
        steps.append(f".{step}" if is_plain else f"[{quoted(step)}]")
    return "".join(steps)


def _at(where: str, name: str) -> str:
    return _location([name], where)


def _found(error: Any) -> str:
    value, kind = error.instance, kind_of(error.instance)
    if isinstance(value, dict | list):
        return quoted(value)
    if value is None:
        return kind
    if any(isinstance(step, str) and _SECRET.search(step) for step in error.absolute_path):
        return f"{'an' if kind == 'integer' else 'a'} {kind}"
    return f"{quoted(value, 40)} ({kind})"


def _meant(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f"; did you mean {' or '.join(quoted(each) for each in near)}?" if near else ""


def _properties(error: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = error.schema.get("properties", {})
    return found


def _missing(error: Any, where: str, part: str) -> Iterator[str]:
    """One line for each required part that is missing, naming the unknown one that may be meant for it."""
    known = _properties(error)
    unknown = list(islice((name for name in error.instance if isinstance(name, str) and name not in known), _COMPARED))
    for name in error.validator_value:
        if name in error.instance:
            continue
        schema = known.get(name)
        kind = schema.get("type") if isinstance(schema, dict) else None
        expected = f", expected {_EXPECTED['type'](kind)}" if kind else ""
        near = nearest(name, unknown, 1)
        hint = f"; is {quoted(near[0])} meant to be {quoted(name)}?" if near else ""
        yield f"{_at(where, name)}: required {part} is missing{expected}{hint}"


def _unknown(error: Any, where: str, part: str) -> Iterator[str]:
    """One line for each part the schema does not know."""
    known = _properties(error)
    patterns = "|".join(error.schema.get("patternProperties", ()))
    for name in error.instance:
        if not isinstance(name, str) or name in known or (patterns and re.search(patterns, name)):
            continue
        fallback = f"; known are {listed(known, _KNOWN)}" if known else "; it takes none"
        yield f"{_at(where, name)}: unknown {part}{_meant(name, known) or fallback}"


def _alternatives(error: Any, where: str, subject: Subject) -> Iterator[str]:
    """The lines of the alternative that fits best, or one line when it is all about types."""
    branches: dict[object, list[Any]] = {}
    for reason in error.context:
        branches.setdefault(reason.relative_schema_path[0], []).append(reason)
    if all(len(reasons) == 1 and _is_about_type(reasons[0]) for reasons in branches.values()):
        kinds = dict.fromkeys(_EXPECTED["type"](reasons[0].validator_value) for reasons in branches.values())
        yield f"{where}: found {_found(error)}, expected {' or '.join(kinds)}"
        return
    nearest_branch = min(
        branches.values(), key=lambda reasons: (any(_is_about_type(reason) for reason in reasons), len(reasons))
    )
    yield from explain(nearest_branch, subject)


def _is_about_type(reason: Any) -> bool:
    return reason.validator == "type" and not reason.relative_path
