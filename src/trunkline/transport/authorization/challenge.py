"""What a server says with a 401 or 403 of how to come in: the Bearer challenge of its WWW-Authenticate. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Challenge", "read_challenge"]

_WORD: Final = r"[\w!#$%&'*+.^`|~-]+"
_PART: Final = re.compile(
    rf'[\s,]*(?:(?P<name>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]*))|(?P<scheme>{_WORD}))'
)
"""A parameter, or the name of a scheme (RFC 9110, 11.6.1)."""
_LONGEST: Final = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """The parameters of a Bearer challenge (RFC 6750, 3; RFC 9728, 5.1) that tell what to do."""

    resource_metadata: str | None = None
    """Where the server's metadata is."""
    scopes: tuple[str, ...] = ()
    """What a token has to allow."""
    error: str | None = None


def read_challenge(headers: Iterable[str]) -> Challenge:
    """The first Bearer challenge in the values of WWW-Authenticate; an empty one where there is none."""
    found: dict[str, str] = {}
    for header in headers:
        scheme = ""
        for part in _PART.finditer(header[:_LONGEST]):
            if part["scheme"]:
                if scheme == "bearer":
                    break
                scheme = part["scheme"].lower()
            elif scheme == "bearer":
                quoted = part["quoted"]
                value = part["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                found.setdefault(part["name"].lower(), value)
        if scheme == "bearer":
            break
    scopes = tuple(scope for scope in found.get("scope", "").split() if scope.isascii() and "\\" not in scope)
    return Challenge(found.get("resource_metadata"), scopes, found.get("error"))
