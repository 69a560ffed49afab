"""Requests as bytes, and the heads of plain answers. Beside `http_connection`.

Nearly every answer is a status of 200, a few headers and a body of known length. One strict pattern reads such a head
in a fifth of the time that h11 takes; whatever is not exactly that is left to h11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx2

__all__ = ["Head", "Origin", "Sent", "head_of", "lines_of", "origin_of", "plain_head"]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""
_LINES: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*\r\n)*")
"""Headers, each named by a token (RFC 9110, 5.6.2)."""
_ANSWER: Final = re.compile(rb"HTTP/1\.1 200(?: [^\x00\r\n]*)?\r\n(" + _LINES.pattern + rb")\r\n")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Where a body ends."""
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


def plain_head(received: bytes | bytearray) -> Head | None:
    """What a head says, to the empty line that ends it, where there is nothing special about it."""
    found = _ANSWER.fullmatch(received)
    if found is None:
        return None
    headers, lengths = [], []
    for line in found[1].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding" or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > _LONGEST:
        return None
    return Head(200, headers, int(lengths[0]))
