"""The pins file: which tools were accepted, as fingerprints. Read strictly, watched like a configuration, and written.

One line for each part of each tool, sorted, so that a change of one tool is a change of its lines. Of a server's own
texts only the names of its tools stand in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from trunkline.config.document import parse, read_file
from trunkline.config.lines import KeyPath
from trunkline.config.report import Report, printable
from trunkline.config.settings import Settings
from trunkline.errors import ConfigError
from trunkline.registry.fingerprint import PARTS
from trunkline.registry.pins import Accepted, Pins

__all__ = ["DEFAULT_NAME", "PinsSource", "pins_path", "read_pins", "write_pins"]

DEFAULT_NAME: Final = "trunkline.pins.json"
"""Beside the configuration, where that names no other file."""
_FORMAT: Final = 1
_ROOTS: Final = ("format", "servers")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def pins_path(settings: Settings) -> Path | None:
    """Return where the pins file of a configuration is; None where tools are not compared with any."""
    pins = settings.pins
    return Path(settings.source).parent / pins.file if pins.enabled and pins.file is not None else None


def read_pins(path: Path) -> Accepted | None:
    """Return what the file says was accepted, None where there is no file. Raises ConfigError with every problem."""
    try:
        data = read_file(str(path))
    except FileNotFoundError:
        return None
    return _accepted(path, data)


def write_pins(path: Path, accepted: Accepted) -> None:
    """Put a new file in the place of the old one, whole or not at all. Raises OSError where that cannot be done."""
    tools = {server: {name: dict(parts) for name, parts in tools.items()} for server, tools in accepted.items()}
    # Escaped, so that a name shows what it is made of; sorted, so that a difference is one of tools.
    text = json.dumps({"format": _FORMAT, "servers": tools}, indent=2, sort_keys=True) + "\n"
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


class PinsSource:
    """The pins file of one configuration, read again whenever `poll` is called."""

    def __init__(self, settings: Settings) -> None:
        """Read it."""
        self._path = pins_path(settings)
        self._command = "trunkline pin CONFIG"
        if settings.source.endswith((".toml", ".json")):
            self._command = f"trunkline pin {shlex.quote(settings.source)}"
        self._seen, data = self._look()
        found = self._judge(data)
        self.problem = found if isinstance(found, ConfigError) else None
        """What was wrong with the file when this was created."""
        self.initial = self._nothing if isinstance(found, ConfigError) else found
        """What was accepted when this was created, nothing by a file that is not valid; None where no file is named."""

    def __repr__(self) -> str:
        return f"<PinsSource {self.source or 'none'}>"

    @property
    def source(self) -> str:
        """The file, empty where none is configured."""
        return "" if self._path is None else printable(str(self._path))

    def poll(self) -> Pins | ConfigError | None:
        """Return what is accepted now, what is wrong with the file, or None if it is as it was at the last poll.

        A file that has vanished is wrong: what it said before should stay in force. Each change is told once.
        """
        seen, data = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        if data is None:
            return ConfigError([f"{self.source}: the file has vanished; put it back"], source=self.source)
        return self._judge(data)

    @property
    def _nothing(self) -> Pins:
        name = "the pins file" if self._path is None else printable(self._path.name)
        return Pins(file=name, exists=False, command=self._command)

    def _judge(self, data: bytes | ConfigError | None) -> Pins | ConfigError | None:
        if self._path is None or isinstance(data, ConfigError):
            return data if isinstance(data, ConfigError) else None
        if data is None:
            return self._nothing
        try:
            return replace(self._nothing, tools=_accepted(self._path, data), exists=True)
        except ConfigError as error:
            return error

    def _look(self) -> tuple[str, bytes | ConfigError | None]:
        if self._path is None:
            return "none", None
        try:
            data = read_file(str(self._path))
        except FileNotFoundError:
            return "missing", None
        except ConfigError as error:
            return str(error), error
        return hashlib.sha256(data).hexdigest(), data


def _accepted(path: Path, data: bytes) -> Accepted:
    document = parse(str(path), data)
    report = Report(document.source, document.values, document.lines)
    for at, line in document.repeated:
        report.problem(at, "this key stands twice in one object; keep one of the two", line=line)
    for key in document.values:
        if key not in _ROOTS:
            report.unknown((key,), _ROOTS)
    if document.values.get("format") != _FORMAT:
        report.mismatch(("format",), f"{_FORMAT}, the format this version of Trunkline writes")
    found = _table(document.values.get("servers"), ("servers",), "a table of tables of tools by server", report)
    accepted = {
        server: {
            name: _parts(parts, ("servers", server, name), report)
            for name, parts in _table(tools, ("servers", server), "a table of tools by name", report).items()
        }
        for server, tools in found.items()
    }
    report.raise_problems()
    return accepted


def _parts(parts: object, at: KeyPath, report: Report) -> Mapping[str, str]:
    found = _table(parts, at, "a table of fingerprints by part", report)
    for part, digest in found.items():
        if part not in PARTS:
            report.unknown((*at, part), PARTS)
        elif not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            report.mismatch((*at, part), "a SHA-256, 64 digits of 0-9 and a-f")
    return found


def _table(value: object, at: KeyPath, expected: str, report: Report) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    report.mismatch(at, expected)
    return {}
