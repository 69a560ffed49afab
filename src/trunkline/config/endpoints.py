"""One entry of `mcpServers`, variables replaced, to the endpoint it describes.

What would only fail when the server is started or called (a NUL in an argument, a line break in a header) is found
here, where its key can be named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from trunkline.config.lines import KeyPath
from trunkline.config.policies import refusal
from trunkline.config.report import Report
from trunkline.endpoint import HttpEndpoint, StdioEndpoint

__all__ = ["http_endpoint", "is_address", "is_header", "stdio_endpoint"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t -~]*")


def stdio_endpoint(entry: Mapping[str, Any], path: KeyPath, report: Report) -> StdioEndpoint | None:
    """Return the program an entry with a `command` starts; None where something in it was reported."""
    read = _Entry(entry, path, report)
    command = read.text("command", _is_text, "the program to start, a string without a NUL character")
    args = read.texts("args")
    env = read.named_texts("env", _is_variable, "a string without a NUL character, under a name without =")
    cwd = read.text("cwd", _is_text, "a folder, a string without a NUL character") if "cwd" in entry else None
    if read.has_misfit:
        return None
    try:
        return StdioEndpoint(_at_home(command), args, env, None if cwd is None else _at_home(cwd))
    except ValueError as error:
        read.refused(error)
        return None


def http_endpoint(entry: Mapping[str, Any], address: str, path: KeyPath, report: Report) -> HttpEndpoint | None:
    """Return the address under the key `address` and its headers; None where something in them was reported."""
    read = _Entry(entry, path, report)
    url = read.text(address, is_address, "an http:// or https:// address with a host")
    headers = read.named_texts("headers", is_header, "a string of printable ASCII, under a valid header name")
    if read.has_misfit:
        return None
    try:
        return HttpEndpoint(url, headers)
    except ValueError as error:
        read.refused(error, spelt={"url": address})
        return None


class _Entry:
    """Reads an entry key by key; a misfit is reported, and what is returned for it is of the right type."""

    def __init__(self, entry: Mapping[str, Any], path: KeyPath, report: Report) -> None:
        self.has_misfit = False
        self._entry = entry
        self._path = path
        self._report = report

    def text(self, key: str, fits: Callable[[str], bool], expected: str) -> str:
        """Return the string under `key`, which must be there."""
        value = self._entry[key]
        if isinstance(value, str) and fits(value):
            return value
        self._misfit((key,), expected)
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the array of strings under `key`, empty where there is none."""
        values = self._entry.get(key, [])
        if not isinstance(values, list):
            self._misfit((key,), "an array of strings")
            return ()
        for index, value in enumerate(values):
            if not isinstance(value, str) or not _is_text(value):
                self._misfit((key, index), "a string without a NUL character")
        return tuple(values)

    def named_texts(self, key: str, fits: Callable[[str, str], bool], expected: str) -> Mapping[str, str]:
        """Return the table of strings under `key`, empty where there is none."""
        values = self._entry.get(key, {})
        if not isinstance(values, Mapping):
            self._misfit((key,), "a table of strings")
            return {}
        for name, value in values.items():
            if not isinstance(value, str) or not fits(name, value):
                self._misfit((key, name), expected)
        return MappingProxyType(dict(values))

    def refused(self, error: ValueError, *, spelt: Mapping[str, str] = MappingProxyType({})) -> None:
        """Report what an endpoint refused; `spelt` has the keys of fields that are called otherwise here."""
        field, expected = refusal(error)
        self._misfit((spelt.get(field, field),), expected)

    def _misfit(self, below: KeyPath, expected: str) -> None:
        self.has_misfit = True
        self._report.mismatch((*self._path, *below), expected)


def _at_home(path: str) -> str:
    # pathlib would also drop a leading "./", which is what keeps a command from being looked up in PATH.
    return os.path.expanduser(path)  # noqa: PTH111


def _is_text(value: str) -> bool:
    return "\0" not in value


def _is_variable(name: str, value: str) -> bool:
    return bool(name) and "=" not in name and _is_text(name) and _is_text(value)


def is_header(name: str, value: str) -> bool:
    """Whether a name and a text make a header."""
    return bool(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value))


def is_address(value: str) -> bool:
    """Whether a text is an address with a host."""
    if not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
