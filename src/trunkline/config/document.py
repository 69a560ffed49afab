"""Bytes of a file to what they say: values, the line of every key, and for broken text where it breaks and what to do.

Nothing here knows what the keys mean.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from trunkline.config.lines import KeyPath, json_lines, toml_lines
from trunkline.config.report import printable
from trunkline.errors import ConfigError

__all__ = ["Document", "Form", "parse", "read_file"]

Form: TypeAlias = Literal["toml", "json", "mapping"]

_TOML_PLACE = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Document:
    """One configuration as it was written."""

    source: str
    """What stands before each problem: the file's name, or `configuration`."""
    form: Form
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """Empty for a mapping."""
    repeated: tuple[tuple[KeyPath, int], ...] = ()
    """Keys that stand twice in one JSON object, each with the line of the repetition."""


def read_file(path: str) -> bytes:
    """Return a file's bytes. Raises FileNotFoundError where there is none, ConfigError where it cannot be read."""
    source = printable(path)
    try:
        file = Path(path)
        if file.is_dir():
            raise _broken(source, "", "is a directory; give the path of a .toml or .json file")
        if file.exists() and not file.is_file():
            raise _broken(source, "", "is not a regular file; give the path of a .toml or .json file")
        return file.read_bytes()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _broken(source, "", f"cannot be read ({reason}); check the path and its permissions") from error


def parse(path: str, data: bytes) -> Document:
    """Return what a `.toml` or `.json` file says.

    Raises ConfigError for another extension, for bytes that are not UTF-8 and for text that breaks its format's rules.
    """
    source = printable(path)
    extension = PurePath(path).suffix.lower()
    if extension not in (".toml", ".json"):
        raise _broken(source, "", f'has the extension "{printable(extension)}", expected .toml or .json')
    try:
        # A byte order mark, which some editors write, is no part of the text.
        text = data.decode("utf-8-sig")
        return _toml(source, text) if extension == ".toml" else _json(source, text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _broken(source, f":{line}", "is not UTF-8 text; save the file as UTF-8") from error
    except RecursionError as error:
        raise _broken(source, "", "is nested too deeply; flatten it") from error


def _toml(source: str, text: str) -> Document:
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        match = _TOML_PLACE.fullmatch(str(error))
        what = match["what"] if match else "a number in it has too many digits"
        line, column = (match["line"], match["column"]) if match and match["line"] else _end(text)
        place = f":{line}:{column}" if match else ""
        raise _broken(source, place, f"not valid TOML: {printable(what)}; {_toml_advice(what)}") from error
    return Document(source, "toml", values, toml_lines(text))


def _json(source: str, text: str) -> Document:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        place, advice = f":{error.lineno}:{error.colno}", _json_advice(text, error)
        raise _broken(source, place, f"not valid JSON: {printable(error.msg)}; {advice}") from error
    except ValueError as error:
        raise _broken(source, "", "a number in it has too many digits; shorten it") from error
    if not isinstance(values, dict):
        raise _broken(source, "", 'expected an object at the top, as in {"mcpServers": {}}')
    lines, repeated = json_lines(text)
    return Document(source, "json", values, lines, tuple(repeated))


def _broken(source: str, place: str, what: str) -> ConfigError:
    return ConfigError([f"{source}{place}: {what}"], source=source)


def _end(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _toml_advice(what: str) -> str:
    if what.startswith(("Cannot", "Duplicate")):
        return "a key or table stands twice: merge the two"
    if what.startswith("Invalid value"):
        return "text needs quotes, and true and false are lower case"
    if what.startswith("Unclosed") or "Expected" in what or "Unterminated" in what:
        return "write key = value or [table], and close every quote and bracket"
    return "correct the file there"


def _json_advice(text: str, error: json.JSONDecodeError) -> str:
    before, after = text[: error.pos].rstrip(), text[error.pos :].lstrip()
    if not before and not after:
        return 'the file is empty: write {"mcpServers": {}}'
    if after.startswith(("//", "/*", "#")):
        mark = "#" if after.startswith("#") else after[:2]
        return f'JSON has no comments: remove "{mark}" and what follows, or use a .toml file'
    if not after:
        return "the file ends too early: close every brace, bracket and quote"
    # From Python 3.13 on, a trailing comma has a message of its own, at the comma.
    if "trailing comma" in error.msg or (before.endswith((",", "[", "{")) and after[0] in ",]}"):
        return "remove the superfluous comma"
    if after.startswith("'") or "property name" in error.msg:
        return "put keys and text between double quotes"
    if after.startswith('"'):
        return "put a comma, or a colon after a key, before it"
    return "correct the file there"
