"""`trunkline export`: what other programs read about the gateway, printed or written to a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from trunkline.cli.exits import FAILED, FINE, CommandError
from trunkline.gateway.openapi import document

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print or write what was asked for; 0. Raises `CommandError` where it cannot be made or the file not written."""
    text = _WRITERS[options.what](options)
    if options.out is None:
        print(text, end="")
        return FINE
    try:
        Path(options.out).write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"cannot write {options.out}: {error.strerror or error}; name another file with --out"
        raise CommandError([problem], FAILED) from error
    return FINE


def _openapi(_options: argparse.Namespace) -> str:
    return _json(document("127.0.0.1", 8700))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


_WRITERS: Final[Mapping[str, Callable[[argparse.Namespace], str]]] = {"openapi": _openapi}
"""What can be exported, by its name on the command line; each returns the whole text, its last line ended."""
