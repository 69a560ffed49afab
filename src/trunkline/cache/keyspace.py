"""What things are called in the shared tier, and how a tag's version is written there. Pure.

Every key begins with `trunkline:<namespace>:1:`; the number is the format's. A tag is named by its hash: it may contain
a principal or an address.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["TAG_TTL", "Keyspace", "TagName"]

TAG_TTL: Final = 30 * 86_400
"""Seconds a tag's version lasts; entries last less, and each that is written lets its tags begin anew."""

_FORMAT: Final = 1
_SEAL: Final = 4
_REMEMBERED: Final = 10_000


class TagName(NamedTuple):
    """A tag, as the shared tier knows it."""

    key: bytes
    """Where its version is."""
    mark: int
    """What its versions are sealed with."""

    def seal(self, version: bytes) -> bytes:
        """A version as it is stored: it proves of which tag it is, so that a mixed-up answer cannot pass for it."""
        return crc32(version, self.mark).to_bytes(_SEAL, "big") + version

    def unseal(self, sealed: bytes) -> bytes | None:
        """The version of this tag; None where it is something else."""
        version = sealed[_SEAL:]
        return version if version and crc32(version, self.mark).to_bytes(_SEAL, "big") == sealed[:_SEAL] else None


class Keyspace:
    """The names within one namespace."""

    def __init__(self, namespace: str) -> None:
        self.prefix = f"trunkline:{namespace}:{_FORMAT}:".encode()
        self.backplane = self.prefix + b"bp"
        """The stream by which processes tell each other."""
        self._tags: dict[str, TagName] = {}

    def __repr__(self) -> str:
        return f"<Keyspace {self.prefix.decode()}>"

    def entry(self, digest: bytes) -> bytes:
        """Where the entry of a key is."""
        return b"%be:%b" % (self.prefix, digest.hex().encode())

    def lease(self, digest: bytes) -> bytes:
        """Where it says who is asking the server for a key."""
        return b"%bl:%b" % (self.prefix, digest.hex().encode())

    def tag(self, tag: str) -> TagName:
        """A tag's name; those of a moment ago are remembered, most entries have the same."""
        name = self._tags.get(tag)
        if name is None:
            plain = tag.encode("utf-8", "surrogatepass")
            digest = blake2b(plain, digest_size=16).hexdigest().encode()
            if len(self._tags) >= _REMEMBERED:
                self._tags.clear()
            name = self._tags[tag] = TagName(b"%bt:%b" % (self.prefix, digest), crc32(plain))
        return name
