"""Entries and the versions of their tags as the shared tier holds them.

Reading an entry reads the versions of its tags in the same question. A tag without a version is given a new one, so
that nothing comes back after an eviction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.envelope import Envelope, EnvelopeDamaged, pack, unpack
from trunkline.cache.keyspace import TAG_TTL
from trunkline.cache.link import Command, NotKnown, Refused
from trunkline.cache.redis_client import RedisClient
from trunkline.cache.shared_clock import SharedClock
from trunkline.cache.tier import Found
from trunkline.clock import now

__all__ = ["SharedEntries"]

_TAG_RENEWAL: Final = 86_400.0
"""Seconds between two renewals of one tag by this process."""
_KNOWN_TAGS: Final = 20_000
_PAUSE: Final = 0.5
"""Seconds in which a server that had no room for versions is not asked to take any."""
_FUTURE: Final = 5.0
"""Seconds an entry may seem to come from the future: more, and the server's clock was set back."""


class SharedEntries:
    """Reads entries, and says how to write them."""

    def __init__(
        self, client: RedisClient, *, draw: Callable[[], bytes], replace: Callable[[str], None], deadline: float
    ) -> None:
        """`draw` makes a version that nobody has had before; `replace` gives a tag another one."""
        self._client = client
        self._names = client.keys
        self._draw = draw
        self._replace = replace
        self._patience = deadline / 2
        self._late: set[str] = set()
        self._renewed: dict[str, float] = {}
        self._full_until = -math.inf
        self.counts: Counter[str] = Counter()
        self.damaged: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<SharedEntries [{self.counts['found']} found, {self.damaged.total()} damaged]>"

    async def read(self, key: CacheKey) -> Found | None:
        """The entry and the versions; None where the tier cannot say."""
        found = await self._read(key)
        self.counts["reads"] += 1
        self.counts["unknown"] += found is None
        return found

    def writing(self, key: CacheKey, entry: Entry) -> list[Command]:
        """The commands that store an entry; none where it cannot be dated or is over."""
        clock, at = self._client.clock, now()
        left = min(entry.stored + entry.lifetime - at, TAG_TTL / 2)
        if clock is None or left < 0.001:
            return []
        envelope = Envelope(
            digest=key.digest,
            method=entry.method,
            stored=clock.shared(entry.stored),
            fresh_for=entry.fresh_for,
            stale_for=entry.stale_for,
            kept_for=entry.kept_for,
            origin_time=entry.origin_time,
            versions=entry.versions,
            body=entry.body,
        )
        commands: list[Command] = [("SET", self._names.entry(key.digest), pack(envelope), "PX", int(1000 * left))]
        # An entry may not outlive the versions it is checked against.
        commands += [("PEXPIRE", self._names.tag(tag).key, 1000 * TAG_TTL) for tag in key.tags if self._is_due(tag, at)]
        return commands

    async def _read(self, key: CacheKey) -> Found | None:
        clock, asked, names = self._client.clock, now(), self._names
        if clock is None:
            return None
        tags = [names.tag(tag) for tag in key.tags]
        values = await self._client.get_many((names.entry(key.digest), *[name.key for name in tags]))
        if isinstance(values, NotKnown):
            return None
        versions: dict[str, bytes] = {}
        absent: list[str] = []
        for tag, name, sealed in zip(key.tags, tags, values[1:], strict=True):
            version = None if sealed is None else name.unseal(sealed)
            if version is not None:
                versions[tag] = version
            elif sealed is None:
                absent.append(tag)
            else:
                self._mistrust(tag)
                return None
        if absent:
            if asked < self._full_until:
                return None
            if now() - asked > self._patience:
                # Another answer may take a whole deadline, and nobody waits for two.
                self._seed_later(absent)
                return None
            seeded = await self._seed(absent, asked)
            if seeded is None:
                return None
            versions.update(seeded)
        return Found(self._entry(values[0], key, versions, clock, asked), versions)

    def _is_due(self, tag: str, at: float) -> bool:
        if at - self._renewed.get(tag, -_TAG_RENEWAL) < _TAG_RENEWAL:
            return False
        if len(self._renewed) >= _KNOWN_TAGS:
            self._renewed.clear()
        self._renewed[tag] = at
        return True

    def _entry(
        self, data: bytes | None, key: CacheKey, versions: Mapping[str, bytes], clock: SharedClock, asked: float
    ) -> Entry | None:
        if data is None:
            return None
        try:
            envelope = unpack(data, key.digest)
        except EnvelopeDamaged as damage:
            self.damaged[damage.kind] += 1
            if damage.kind == "foreign":
                self._client.distrust("mixed_up")
            return None
        if envelope.versions != tuple(versions[tag] for tag in key.tags):
            self.counts["outdated"] += 1
            return None
        stored = clock.local(envelope.stored)
        if stored > asked + _FUTURE:
            self.damaged["future"] += 1
            return None
        self.counts["found"] += 1
        return Entry(
            method=envelope.method,
            body=envelope.body,
            versions=envelope.versions,
            stored=min(stored, asked),
            fresh_for=envelope.fresh_for,
            stale_for=envelope.stale_for,
            kept_for=envelope.kept_for,
            origin_time=envelope.origin_time,
            confirmed=asked,
        )

    def _seed_later(self, tags: Sequence[str]) -> None:
        missing = [tag for tag in tags if tag not in self._late]

        async def seed() -> None:
            try:
                await self._seed(missing, now())
            finally:
                self._late.difference_update(missing)

        if missing:
            self._late.update(missing)
            self._client.links.start(seed())

    async def _seed(self, tags: Sequence[str], asked: float) -> dict[str, bytes] | None:
        """Give tags a version each, and return those that they have then: another process may have been faster."""
        names = {tag: self._names.tag(tag) for tag in tags}
        versions = {tag: self._draw() for tag in tags}
        setting: list[Command] = [
            ("SET", names[tag].key, names[tag].seal(version), "NX", "PX", 1000 * TAG_TTL)
            for tag, version in versions.items()
        ]
        replies = await self._client.execute(setting)
        if isinstance(replies, NotKnown):
            return None
        if any(isinstance(reply, Refused) for reply in replies):
            self._full_until = now() + _PAUSE
            return None  # a full server takes no version, and without one nothing can be said
        taken = [tag for tag, reply in zip(versions, replies, strict=True) if reply is None]
        if taken and now() - asked > self._patience:
            return None  # whoever asks next finds them
        if taken:
            values = await self._client.get_many([names[tag].key for tag in taken])
            if isinstance(values, NotKnown):
                return None
            for tag, sealed in zip(taken, values, strict=True):
                version = None if sealed is None else names[tag].unseal(sealed)
                if version is None:
                    return None
                versions[tag] = version
        self.counts["seeded"] += len(tags) - len(taken)
        return versions

    def _mistrust(self, tag: str) -> None:
        self.damaged["version"] += 1
        self._client.distrust("mixed_up")
        # If it is not the connection but the value, nobody will ever understand it.
        self._replace(tag)
