"""Requests as bytes, and the heads of plain messages. Beside `http_connection`, and the gateway's `plain_exchange`.

Nearly every answer is a status of 200, a few headers and a body of known length. One strict pattern reads such a head
in a fifth of the time that h11 takes; whatever is not exactly that is left to h11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx2

__all__ = [
    "TOKEN",
    "Head",
    "Origin",
    "Sent",
    "head_of",
    "headers_in",
    "length_in",
    "lines_of",
    "once",
    "origin_of",
    "plain_head",
]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""
TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The pattern of a header's name (RFC 9110, 5.6.2)."""
_LINES: Final = re.compile(rb"(?:" + TOKEN + rb":[^\x00\r\n]*\r\n)*")
_LINE: Final = re.compile(rb"([^:]+):([^\r]*)\r\n")
_ANSWER: Final = re.compile(rb"HTTP/1\.1 200(?: [^\x00\r\n]*)?\r\n(" + _LINES.pattern + rb")\r\n")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Where a body ends."""
_SPECIAL: Final = frozenset({b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
"""Headers that say of what is to come that it is more, or something else, than a body of a certain length."""
_LONGEST: Final = 15
"""Digits of a length that is believed."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request."""

    origin: Origin
    method: str
    data: bytes
    """All of it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """The names in small letters."""
    length: int | None = None
    """Bytes of the body, where the head is a plain one."""


def origin_of(url: httpx2.URL) -> Origin:
    """Whom a request to `url` goes to."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.raw_host.decode("ascii"), port


def head_of(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request, without how long its body is and without the empty line that ends it.

    Raises:
        LocalProtocolError: As `lines_of`.
    """
    lines = lines_of((name, value) for name, value in headers if name.lower() not in _FRAMING)
    return method.encode("ascii") + b" " + target + b" HTTP/1.1\r\n" + lines


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of a head that say these headers.

    Raises:
        LocalProtocolError: One of them would be more than a header, or none.
    """
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    said = b"".join(lines)
    if not _LINES.fullmatch(said) or said.count(b"\n") != len(lines):
        raise httpx2.LocalProtocolError("a header has characters that no header may have")
    return said


def headers_in(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The headers that lines say of which each is one, the names in small letters."""
    # Stripped here: a pattern that leaves spaces off at the end looks at a long row of them once for each.
    return [(name.lower(), value.strip(b" \t")) for name, value in _LINE.findall(lines)]


def once(headers: list[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """The headers by their names; none where one of them is there twice, which may be read in two ways."""
    about = dict(headers)
    return about if len(about) == len(headers) else {}


def length_in(about: Mapping[bytes, bytes]) -> int | None:
    """Bytes of the body after these headers; None where they do not say that, or say more about what is to come."""
    length = about.get(b"content-length", b"")
    if not length.isdigit() or len(length) > _LONGEST or not _SPECIAL.isdisjoint(about):
        return None
    return int(length) if about.get(b"connection", b"keep-alive").lower() == b"keep-alive" else None


def plain_head(received: bytes | bytearray) -> Head | None:
    """What a head says, to the empty line that ends it, where there is nothing special about it."""
    found = _ANSWER.fullmatch(received)
    if found is None:
        return None
    headers = headers_in(found[1])
    length = length_in(once(headers))
    return None if length is None else Head(200, headers, length)
