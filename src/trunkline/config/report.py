"""Everything found wrong or useless in one configuration, each in one line that says where it stands.

Values are shown as the file has them, never as they are after `${NAME}` was replaced, and not at all where they
may be secrets.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from trunkline.config.lines import KeyPath
from trunkline.errors import ConfigError
from trunkline.secrets import is_secret_name, looks_ordinary

__all__ = ["Report", "nearest", "printable"]

_LONGEST_SHOWN = 60
_LARGEST = 2**63 - 1
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET = re.compile(
    r"token|passw|pwd|secret|key|auth|credential|cookie|^(headers|env|args|url|endpoint|httpurl|serverurl|replicas)$",
    re.IGNORECASE,
)


class Report:
    """Collects problems and notices about one configuration; `raise_problems` ends it."""

    def __init__(self, source: str, values: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> None:
        self._source = source
        self._values = values
        self._lines = lines
        self._unresolved: set[KeyPath] = set()
        self._problems: list[tuple[int, str]] = []
        self._notices: list[tuple[int, str]] = []
        self.hidden: dict[str, None] = {}
        """Values of variables that may be secrets, in file order."""

    @property
    def notices(self) -> tuple[str, ...]:
        """One line each, in file order."""
        return _in_order(self._notices)

    def raise_problems(self) -> None:
        """Raise one ConfigError with every problem, in file order, if there is any."""
        if self._problems:
            raise ConfigError(_in_order(self._problems), source=self._source)

    def problem(self, path: KeyPath, text: str, *, line: int | None = None) -> None:
        """Record that what stands at `path` is wrong; `line` where it is not the path's own."""
        self._problems.append(self._located(path, ": ", text, line))

    def notice(self, path: KeyPath, text: str) -> None:
        """Record that what stands at `path` was accepted and does nothing."""
        self._notices.append(self._located(path, " ", text, None))

    def unresolved(self, path: KeyPath, text: str) -> None:
        """Record that the text at `path` has no value, so that nothing else is said about it."""
        self._unresolved.add(path)
        self.problem(path, text)

    def substituted(self, variable: str, value: str) -> None:
        """Record that a variable's value stands in the configuration: it is kept out of sight unless plainly harmless.

        People give variables what must not stand in a file. By the name nothing is harmless that speaks of a secret.
        """
        if is_secret_name(variable) or not looks_ordinary(value):
            self.hidden[value] = None

    def mismatch(self, path: KeyPath, expected: str) -> None:
        """Record that the value at `path`, or its absence, is not what was expected."""
        if path not in self._unresolved:
            self.problem(path, f"found {self._found(path)}, expected {expected}")

    def unknown(self, path: KeyPath, known: Iterable[str]) -> None:
        """Record that the last key of `path` is not one of those known there."""
        names = list(known)
        near = nearest(path[-1], names)
        advice = f'did you mean "{near}"?' if near else f"known keys: {', '.join(names)}"
        self.problem(path, f"unknown key; {advice}")

    def _found(self, path: KeyPath) -> str:
        value: Any = self._values
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return "nothing"
        return _described(value, is_secret=any(isinstance(part, str) and _SECRET.search(part) for part in path))

    def _located(self, path: KeyPath, joint: str, text: str, line: int | None) -> tuple[int, str]:
        for length in range(len(path), 0, -1):
            line = line or self._lines.get(path[:length])
        place = f"{self._source}:{line}" if line else self._source
        return line or 0, f"{place}: {_dotted(path)}{joint}{text}" if path else f"{place}: {text}"


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word most like `word`, letter case aside; None when none is near.

    `cutoff` is the least similarity, from 0 to 1, as `difflib.get_close_matches` measures it.
    """
    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(str(word)[:_LONGEST_SHOWN].lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def printable(text: str) -> str:
    """Return `text` on one line: whatever does not print is written as an escape."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _in_order(found: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in sorted(found, key=lambda entry: entry[0]))


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return printable(json.dumps(shown, ensure_ascii=False))


def _dotted(path: KeyPath) -> str:
    dotted = ""
    for part in path:
        if isinstance(part, int):
            dotted += f"[{part}]"
        else:
            is_plain = len(part) <= _LONGEST_SHOWN and _BARE_KEY.fullmatch(part)
            dotted += ("." if dotted else "") + (part if is_plain else _quoted(part))
    return dotted


def _described(value: object, *, is_secret: bool) -> str:
    shown = ""
    match value:
        case None:
            kind = "null"
        case Mapping():
            kind = "a table"
        case list() | tuple():
            kind = "an array"
        case bool():
            shown, kind = str(value).lower(), "a boolean"
        case int() if abs(value) > _LARGEST:
            kind = "a whole number beyond 64 bits"
        case int():
            shown, kind = str(value), "a whole number"
        case float():
            shown, kind = str(value), "a number" if math.isfinite(value) else "not a finite number"
        case str():
            # An address may carry a user's name and password.
            is_secret = is_secret or "://" in value
            shown, kind = _quoted(value), "a string"
        case datetime.date() | datetime.time():
            kind = "a date or time"
        case _:
            kind = f"an object of type {printable(type(value).__name__)}"
    return f"{'<hidden>' if is_secret else shown} ({kind})" if shown else kind
