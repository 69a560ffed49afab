"""Which configuration a command uses: the file it was given, or the first of the usual ones in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from trunkline.cli.exits import CommandError
from trunkline.config import Settings, load
from trunkline.errors import ConfigError

__all__ = ["USUAL", "find", "read"]

USUAL: Final = ("trunkline.toml", "trunkline.json", "mcp.json", ".mcp.json")
"""Looked for in this order in the current folder."""


def find(given: str | None) -> str | None:
    """Return the path given, else that of the first usual file that exists, else None."""
    if given is not None:
        return given
    return next((name for name in USUAL if Path(name).is_file()), None)


def read(given: str | None) -> Settings:
    """Return the settings of the file that `find` finds.

    Raises:
        CommandError: There is none, or it is not valid; with every problem.
    """
    path = find(given)
    if path is None:
        problem = f"no configuration in this folder ({', '.join(USUAL)}); create one or name a file: CONFIG"
        raise CommandError([problem])
    try:
        return load(path, must_exist=True)
    except ConfigError as error:
        raise CommandError(error.problems) from error
