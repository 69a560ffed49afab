"""An entry as the shared tier holds it: a small binary envelope around the JSON, proven on the way back. Pure.

    magic 3, version 1 | checksum 8 | key digest 16 | times 5 x 8 | how many versions 1 | method | versions | JSON

Method and versions have their length before them. Others can write into a shared store, and a connection can be mixed
up: an envelope that is not exactly what was asked for is worth nothing. Nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

__all__ = ["DamageKind", "Envelope", "EnvelopeDamaged", "pack", "unpack"]

DamageKind: TypeAlias = Literal["format", "checksum", "foreign"]
"""No envelope of ours, or of another version; bytes have changed; it belongs to another key."""

_MAGIC: Final = b"TLC\x01"
_CHECKSUM: Final = 8
_DIGEST: Final = 16
_FIELDS: Final = struct.Struct(f">{_DIGEST}sqqqqqB")
_HEAD: Final = len(_MAGIC) + _CHECKSUM
_MICRO: Final = 1_000_000
_MOST: Final = 2**62
"""Microseconds; more is no time."""


class EnvelopeDamaged(Exception):
    """What was read is no envelope of this key."""

    def __init__(self, kind: DamageKind) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is kept of an entry. Times are in seconds, `stored` in the shared tier's own time."""

    digest: bytes
    method: str
    stored: float
    fresh_for: float
    stale_for: float
    kept_for: float
    origin_time: float
    versions: tuple[bytes, ...]
    body: bytes


def pack(envelope: Envelope) -> bytes:
    """The bytes of an envelope."""
    times = (envelope.stored, envelope.fresh_for, envelope.stale_for, envelope.kept_for, envelope.origin_time)
    fields = _FIELDS.pack(
        envelope.digest,
        *(max(0, min(round(_MICRO * time), _MOST)) for time in times),
        len(envelope.versions),
    )
    parts = (envelope.method.encode(), *envelope.versions)
    content = b"".join((fields, *(bytes((len(part),)) + part for part in parts), envelope.body))
    return b"".join((_MAGIC, _checksum(content), content))


def unpack(data: bytes, digest: bytes) -> Envelope:
    """The envelope of the key with this digest; raises `EnvelopeDamaged` where it is anything else."""
    if not data.startswith(_MAGIC) or len(data) < _HEAD + _FIELDS.size:
        raise EnvelopeDamaged("format")
    if data[len(_MAGIC) : _HEAD] != _checksum(memoryview(data)[_HEAD:]):
        raise EnvelopeDamaged("checksum")
    owner, *times, count = _FIELDS.unpack_from(data, _HEAD)
    if owner != digest:
        raise EnvelopeDamaged("foreign")
    place, end = _HEAD + _FIELDS.size, len(data)
    parts = []
    for _ in range(count + 1):
        start = place + 1
        place = start + data[place] if place < end else end + 1
        if place > end:
            raise EnvelopeDamaged("format")
        parts.append(data[start:place])
    try:
        method = parts[0].decode()
    except UnicodeDecodeError:
        raise EnvelopeDamaged("format") from None
    if min(times) < 0:
        raise EnvelopeDamaged("format")
    stored, fresh_for, stale_for, kept_for, origin_time = [time / _MICRO for time in times]
    return Envelope(owner, method, stored, fresh_for, stale_for, kept_for, origin_time, tuple(parts[1:]), data[place:])


def _checksum(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_CHECKSUM).digest()
