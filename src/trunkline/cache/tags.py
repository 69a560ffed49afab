"""Names by which entries are invalidated together, and the present version of each. Pure.

An entry counts only while every one of its tags has the version it had before the server was asked. Versions are random
and never come back, so nothing has to be searched, and a tag without a version matches no entry: absent is invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

__all__ = [
    "ALL",
    "Versions",
    "custom_tag",
    "entry_tag",
    "hashed",
    "listing_tag",
    "mine_tag",
    "principal_tag",
    "resource_tag",
    "server_tag",
    "shard_tag",
    "tool_tag",
]

ALL = "all"
"""The tag of every entry."""

_SHARDS = tuple(f"shard:{number:03x}" for number in range(4096))


def server_tag(server: str) -> str:
    """What one server answered."""
    return f"server:{server}"


def tool_tag(name: str) -> str:
    """What one tool answered, by the name shown to callers."""
    return f"tool:{name}"


def principal_tag(principal: str) -> str:
    """What one principal (hashed) was answered."""
    return f"principal:{principal}"


def mine_tag(server: str, principal: str) -> str:
    """What one server answered one principal (hashed)."""
    return f"mine:{principal}:{server}"


def listing_tag(server: str) -> str:
    """What one server listed: resources, templates, prompts."""
    return f"listing:{server}"


def resource_tag(server: str, uri: str) -> str:
    """What one resource contained; its address may be as private as its content."""
    return f"resource:{hashed(uri)}:{server}"


def custom_tag(name: str) -> str:
    """What a policy gave this name."""
    return f"tag:{name}"


def entry_tag(digest: bytes) -> str:
    """One entry alone."""
    return f"entry:{digest.hex()}"


def shard_tag(number: int) -> str:
    """One of 4,096 parts of all keys; only the number's last twelve bits count."""
    return _SHARDS[number & 0xFFF]


def hashed(text: str, salt: str = "") -> str:
    """A text that others may not see, as one that names it."""
    # The length keeps two pairs apart that would read the same side by side.
    told = f"{len(salt)}:{salt}{text}"
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Versions:
    """The present version of each tag, as far as this process knows; bounded.

    `draw` gives a new version, one that was never given before. Of more than `limit` tags, those not used for longest
    are forgotten, which makes their entries invalid.
    """

    def __init__(self, draw: Callable[[], bytes], *, limit: int = 65536) -> None:
        self._draw = draw
        self._limit = limit // 2
        # Two generations instead of an order: what is used moves to the younger; full, it becomes the older.
        self._young: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}
        self._retired: dict[bytes, None] = {}
        self.moves = 0
        """Goes up whenever a version that was known no longer is: as long as it stands, what matched still does."""
        self.gaps = 0
        """How often everything was forgotten."""

    def __repr__(self) -> str:
        return f"<Versions [{len(self._young) + len(self._old)} tags, {len(self._retired)} retired]>"

    def match(self, tags: tuple[str, ...], versions: tuple[bytes, ...]) -> bool | None:
        """Whether these are the present versions; None where one is not known."""
        young = self._young
        for tag, version in zip(tags, versions, strict=True):
            known = young.get(tag) or self._promoted(tag)
            if known is None:
                return None
            if known != version:
                return False
        return True

    def known(self, tags: tuple[str, ...]) -> tuple[bytes | None, ...]:
        """The present versions as far as there are any."""
        return tuple(self._young.get(tag) or self._promoted(tag) for tag in tags)

    def current(self, tags: tuple[str, ...]) -> tuple[bytes, ...]:
        """The present versions; a tag that has none is given one."""
        return tuple(self._young.get(tag) or self._promoted(tag) or self._set(tag, self._draw()) for tag in tags)

    def bump(self, tags: Iterable[str]) -> dict[str, bytes]:
        """Give tags new versions: no entry that has one of them counts any longer."""
        for tag in tags:
            self._retire(tag)
        return {tag: self._set(tag, self._draw()) for tag in tags}

    def hear(self, versions: Mapping[str, bytes]) -> None:
        """Take over what others have given tags just now.

        One that was replaced here already tells that the order of things is not known: then no version is.
        """
        for tag, version in versions.items():
            if (self._young.get(tag) or self._promoted(tag)) == version:
                continue
            self._retire(tag)
            if version in self._retired:
                self._young.pop(tag, None)
            else:
                self._set(tag, version)

    def learn(
        self, tags: tuple[str, ...], versions: Mapping[str, bytes], before: tuple[bytes | None, ...]
    ) -> tuple[str, ...] | None:
        """Take over what the shared tier was found to have; `before` is what was known when it was asked.

        Returns tags that have a version there which was replaced here: it may be lost there or have been overtaken, and
        never comes back. None where a version has moved meanwhile: what was found may be older, and nothing is learnt.
        """
        found = tuple(versions[tag] for tag in tags)
        known = self.known(tags)
        if known == found:
            return ()
        if any(here not in (there, was) for here, there, was in zip(known, found, before, strict=True)):
            return None
        replaced = []
        for tag, version, here in zip(tags, found, known, strict=True):
            if here == version:
                continue
            if version in self._retired:
                replaced.append(tag)
            else:
                self._retire(tag)
                self._set(tag, version)
        return tuple(replaced)

    def forget(self) -> None:
        """Know nothing any more: bumps of others may have been missed."""
        self._young.clear()
        self._old.clear()
        self.moves += 1
        self.gaps += 1

    def _promoted(self, tag: str) -> bytes | None:
        version = self._old.pop(tag, None)
        return None if version is None else self._set(tag, version)

    def _set(self, tag: str, version: bytes) -> bytes:
        if len(self._young) >= self._limit and tag not in self._young:
            self._old, self._young = self._young, {}
            self.moves += 1
        self._young[tag] = version
        return version

    def _retire(self, tag: str) -> None:
        replaced = self._young.get(tag) or self._old.pop(tag, None)
        if replaced is not None:
            self.moves += 1
            self._retired[replaced] = None
            if len(self._retired) > self._limit:
                del self._retired[next(iter(self._retired))]
