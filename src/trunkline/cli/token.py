"""`trunkline token`: a new token for a caller of the gateway, and what to write into the configuration."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import secrets
import sys
from typing import Final

from trunkline.cli.exits import FINE, CommandError

__all__ = ["run"]

_BYTES: Final = 32
"""Of randomness: 256 bits, so that its plain hash is as good as a salted one (nobody can try them all)."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def run(options: argparse.Namespace) -> int:
    """Print the table for the configuration to standard output and the token itself, which is kept nowhere, to stderr.

    Raises:
        CommandError: The name is empty, or is the one that stands for everybody.
    """
    name = options.principal
    if not name.strip() or name == "*" or not name.isprintable():
        raise CommandError(["the name of a principal is text that prints, and not *, which stands for everybody else"])
    token = f"trunkline_{secrets.token_urlsafe(_BYTES)}"
    key = name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    digest = hashlib.sha256(token.encode()).hexdigest()
    sys.stdout.write(f'\n[trunkline.gateway.principals.{key}]\ntoken_sha256 = ["{digest}"]\n')
    sys.stderr.write(
        f"The token of {name}, shown this once; the lines for the configuration hold only its hash:\n{token}\n"
    )
    return FINE
