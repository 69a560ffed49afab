"""On which line each key of a TOML or JSON text stands: `tomllib` and `json` keep no positions.

Both functions take a text that its parser has accepted, so they recognise structure and check nothing. A key path
is the way down from the root: text for a key, a number for the place in an array. The grammars followed are TOML 1.0
(toml.io, and 1.1 where it only adds line breaks) and RFC 8259. Imports nothing of ours.
"""

from __future__ import annotations

import json
import re
import tomllib
from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import Any, TypeAlias

__all__ = ["KeyPath", "json_lines", "toml_lines"]

KeyPath: TypeAlias = tuple[str | int, ...]

_TOML_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_TOML_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_TOML_KEY = re.compile(rf"{_TOML_PART}(?:[ \t]*\.[ \t]*{_TOML_PART})*")
# A multi-line string may end in up to five quotes: two of its own before the three that close it.
_TOML_SCALAR = re.compile(
    r'''"""(?:\\.|[^\\])*?""""{0,2}|\'\'\'.*?\'\'\''{0,2}|"(?:[^"\\]|\\.)*"|'[^']*'|[^,\]}#\n]+''',
    re.DOTALL,
)
_JSON_BLANK = re.compile(r"\s*")
_JSON_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\]}]+')


def toml_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) of every key, table and array item of a valid TOML text.

    A table that is only implied by a longer key has the line of the first key that implies it. Raises RecursionError
    where arrays or inline tables are nested too deeply, and may raise ValueError for a text that is not valid.
    """
    scan = _TomlScan(text)
    scan.statements()
    return scan.lines


def json_lines(text: str) -> tuple[dict[KeyPath, int], list[tuple[KeyPath, int]]]:
    """Return the line (from 1) of every key and array item of a valid JSON text, and the keys that are repeated.

    Of a repeated key `json` keeps the last, and so does the first result; the second one has each repetition with
    its line, in order. Raises RecursionError where the text is nested too deeply, and may raise ValueError for a text
    that is not valid.
    """
    scan = _JsonScan(text)
    scan.peek()
    scan.value(())
    return scan.lines, scan.repeated


class _Scan(ABC):
    """A place in a text, and the lines found so far."""

    def __init__(self, text: str, blank: re.Pattern[str], scalar: re.Pattern[str]) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._blank = blank
        self._scalar = scalar
        self._breaks = [match.start() for match in re.finditer("\n", text)]

    def peek(self) -> str:
        """Skip what means nothing and return the next character, empty at the end."""
        self._take(self._blank)
        return self._text[self._at : self._at + 1]

    def value(self, path: KeyPath) -> None:
        """Step over one value, recording what it contains."""
        opening = self._text[self._at]
        if opening not in "[{":
            self._take(self._scalar)
            return
        closing = "]" if opening == "[" else "}"
        self._at += 1
        index = 0
        while self.peek() != closing:
            if opening == "{":
                self.pair(path)
            else:
                self.lines[(*path, index)] = self._line()
                self.value((*path, index))
            index += 1
            if self.peek() == ",":
                self._at += 1
        self._at += 1

    @abstractmethod
    def pair(self, table: KeyPath) -> None:
        """Step over one key and its value."""

    def _line(self) -> int:
        return bisect_left(self._breaks, self._at) + 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            message = f"not a text its parser accepts: offset {self._at}"
            raise ValueError(message)
        self._at = match.end()
        return match[0]


class _JsonScan(_Scan):
    def __init__(self, text: str) -> None:
        super().__init__(text, _JSON_BLANK, _JSON_SCALAR)
        self.repeated: list[tuple[KeyPath, int]] = []

    def pair(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, str(json.loads(self._take(self._scalar))))
        if path in self.lines:
            self.repeated.append((path, line))
            self.lines = {known: at for known, at in self.lines.items() if known[: len(path)] != path}
        self.lines[path] = line
        self.peek()
        self._at += len(":")
        self.peek()
        self.value(path)


class _TomlScan(_Scan):
    def __init__(self, text: str) -> None:
        super().__init__(text, _TOML_BLANK, _TOML_SCALAR)
        self._last_index: dict[KeyPath, int] = {}

    def statements(self) -> None:
        table: KeyPath = ()
        while following := self.peek():
            if following == "[":
                table = self._header()
            else:
                self.pair(table)

    def pair(self, table: KeyPath) -> None:
        line = self._line()
        for part in self._key():
            table = (*table, part)
            self.lines.setdefault(table, line)
        self.peek()
        self._at += len("=")
        self.peek()
        self.value(table)

    def _header(self) -> KeyPath:
        line = self._line()
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        self.peek()
        *parents, last = self._key()
        self.peek()
        self._at += brackets
        path: KeyPath = ()
        for part in parents:
            path = (*path, part)
            self.lines.setdefault(path, line)
            if path in self._last_index:
                path = (*path, self._last_index[path])
        path = (*path, last)
        if brackets > 1:
            self.lines.setdefault(path, line)
            index = self._last_index[path] = self._last_index.get(path, -1) + 1
            path = (*path, index)
        self.lines[path] = line
        return path

    def _key(self) -> list[str]:
        parts: list[str] = []
        below: Any = tomllib.loads(f"{self._take(_TOML_KEY)} = 0")
        while isinstance(below, dict):
            part, below = next(iter(below.items()))
            parts.append(part)
        return parts
