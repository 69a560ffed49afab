"""Text without what must not be shown: the credentials of a configuration, found by where they stand, masked by value.

At the bottom of the tree: endpoints know their own secrets, the transport masks them in whatever a server says, and
whoever writes something out masks those of the whole configuration.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["REDACTED", "TELLING", "Secrets", "is_secret_name", "looks_ordinary", "secrets_in"]

REDACTED: Final = "[redacted]"

_SHORTEST: Final = 6
"""Characters; blotting out shorter values would eat ordinary words."""

TELLING: Final = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token(?!s)|api[_-]?key|access[_-]?key|private[_-]?key|credential"
    r"|authorization|cookie|signature|session[_-]?id)"
)
"""Pattern of what gives a secret away in the name of a header, a variable or a field."""

_TELLING_NAME: Final = re.compile(TELLING, re.IGNORECASE)
_TELLING_VARIABLE: Final = re.compile(rf"{TELLING}|(?:^|[_-])(?:key|auth|pat|pw|bearer)(?:$|[_-])", re.IGNORECASE)
"""In the names of variables, flags and headers fewer letters are enough."""
_PLAIN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "host", "origin", "user-agent"}
)
_ORDINARY: Final = re.compile(
    r"[A-Za-z]{1,20}(?:[/_.-][A-Za-z]{1,20})?"  # a word or two: production, Europe/Berlin, en_US
    r"|[0-9.,:-]{1,15}"  # a number, an address, a port
    r"|(?:[a-z0-9-]{1,63}\.)+[a-z]{2,12}(?::[0-9]{1,5})?|[a-z][a-z-]{0,62}:[0-9]{1,5}"  # the name of a host
    r"|[~.]?/[\w./~-]*"  # a path
    r"|[a-z][a-z0-9+.-]*://[^@?#\s]*"  # an address without a user and a query
)
_NAMED: Final = re.compile(r"-{0,2}(?P<name>[A-Za-z][\w.-]{0,63})(?:=|:\s+)(?P<value>.+)", re.DOTALL)
"""`--name=value`, `NAME=value` or `Name: value`, as arguments have it."""
_LONG_SEGMENT: Final = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w~-]{20,}")
"""A part of an address's path that is no word: hosted servers put keys there."""


class Secrets:
    """Values that must not be shown. Immutable, compiled once; masking a text is one search through it.

    A value is also found as it stands in JSON, in an address, and in the `repr` of a text. Values of less than six
    characters are left alone.
    """

    __slots__ = ("_pattern", "values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = frozenset(value for value in values if len(value) >= _SHORTEST)
        forms = {form for value in self.values for form in _forms(value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __repr__(self) -> str:
        return f"<Secrets [{len(self.values)} values]>"

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def union(cls, parts: Iterable[Secrets]) -> Secrets:
        """All the values of several."""
        return cls(value for part in parts for value in part.values)

    def mask(self, text: str) -> str:
        """Return `text` with each secret in it replaced by `[redacted]`."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def mask_value(self, value: Any) -> Any:
        """Return a copy of JSON-able data with every text in it masked, names of fields included."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(name): self.mask_value(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_value(item) for item in value]
        return value


def is_secret_name(name: str) -> bool:
    """Whether what is called `name` is to be taken for a secret, whatever it looks like."""
    return _TELLING_NAME.search(name) is not None


def looks_ordinary(value: str) -> bool:
    """Whether a value is plainly no secret: a word or two, a number, a host, a path, an address without a user."""
    return _ORDINARY.fullmatch(value) is not None


def secrets_in(table: object, name: str = "") -> Iterator[str]:
    """Every secret in a part of a configuration, which stands under `name`.

    That is: what stands under a name that speaks of a secret; headers, but for those everybody sends; variables,
    arguments and parameters of addresses with such names; users and passwords in addresses, and keys in their paths.
    """
    if isinstance(table, str):
        if _TELLING_VARIABLE.search(name):
            yield from _parts(table)
        yield from _in_address(table)
    elif isinstance(table, Mapping):
        for key, value in table.items():
            if name.lower() == "headers" and isinstance(value, str):
                yield from _in_header(str(key), value)
            else:
                yield from secrets_in(value, str(key))
    elif isinstance(table, list | tuple):
        yield from _in_arguments([item for item in table if isinstance(item, str)])
        for item in table:
            yield from secrets_in(item, name)


def _in_header(name: str, value: str) -> Iterator[str]:
    if _TELLING_VARIABLE.search(name) or not (name.lower() in _PLAIN_HEADERS or looks_ordinary(value)):
        yield from _parts(value)


def _in_arguments(arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        named = _NAMED.fullmatch(argument)
        if named and _TELLING_VARIABLE.search(named["name"]):
            yield from _parts(named["value"])
    for flag, value in pairwise(arguments):
        if flag.startswith("-") and _TELLING_VARIABLE.search(flag) and "=" not in flag:
            yield from _parts(value)


def _parts(value: str) -> Iterator[str]:
    """A credential, and what in it is one by itself: a scheme's token, a cookie's values, a user's password."""
    yield value
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest.strip()
    if scheme.lower() == "basic":
        yield from _in_basic(rest)
    for pair in value.split(";"):
        name, equals, held = pair.strip().partition("=")
        if equals and name and len(held.strip("=")) >= _SHORTEST:
            yield held


def _in_basic(encoded: str) -> Iterator[str]:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield password or user


def _in_address(text: str) -> Iterator[str]:
    if "://" not in text:
        return
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    user_info = parts.netloc.rpartition("@")[0]
    if user_info:
        user, _, password = user_info.partition(":")
        yield user_info
        for secret in (password,) if password else (user,):
            yield secret
            yield unquote(secret)
        # What an HTTP client makes of it, and a server may say again.
        yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    for name, value in parse_qsl(parts.query):
        if _TELLING_VARIABLE.search(name) or not looks_ordinary(value):
            yield value
    if parts.scheme in ("http", "https"):
        yield from filter(_LONG_SEGMENT.fullmatch, parts.path.split("/"))
    if parts.fragment:
        yield parts.fragment


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
