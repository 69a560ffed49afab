"""Sends new versions of tags to the shared tier until they have been heard, and hears those of other processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from trunkline.cache.backplane import Backplane
from trunkline.cache.keyspace import TAG_TTL
from trunkline.cache.link import Command, NotKnown, Refused
from trunkline.cache.outbox import Outbox
from trunkline.cache.redis_client import RedisClient
from trunkline.clock import now

__all__ = ["Invalidations"]

_KIND: Final = "bump"
_PAUSE: Final = 1.0
"""Seconds until the next try where the tier answers, and refuses."""


class Invalidations:
    """One write gives a tag a new version, and one message tells everybody."""

    def __init__(self, client: RedisClient, backplane: Backplane, *, draw: Callable[[], bytes]) -> None:
        """`draw` makes a version that nobody has had before."""
        self._client = client
        self._backplane = backplane
        self._draw = draw
        self._listeners: list[tuple[Callable[[Mapping[str, bytes]], None], Callable[[], None]]] = []
        self._has_news = anyio.Event()
        self.outbox = Outbox(draw)
        backplane.subscribe(_KIND, self._hear, self._miss)
        client.links.on_found.append(self._look_back)

    def __repr__(self) -> str:
        return f"<Invalidations [{len(self._listeners)} listeners] {self.outbox!r}>"

    def listen(self, on_bumped: Callable[[Mapping[str, bytes]], None], on_gap: Callable[[], None]) -> None:
        """Tell of new versions, and that some may have been missed."""
        self._listeners.append((on_bumped, on_gap))

    def bump(self, versions: Mapping[str, bytes]) -> None:
        """Give tags new versions, everywhere."""
        self.outbox.add(versions, now())
        self._has_news.set()

    def replace(self, tag: str) -> None:
        """Give a tag some new version: the one it has cannot be read."""
        versions = {tag: self._draw()}
        self._tell_listeners(versions)
        self.bump(versions)

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._has_news.wait()
            await self._client.links.until_found()
            if not await self.tell() and self._client.is_available:
                await anyio.sleep(_PAUSE)
            if not self.outbox:
                self._has_news = anyio.Event()

    async def tell(self) -> bool:
        """Send what comes next; whether it was heard."""
        telling, fresh = self.outbox.take(now())
        if not telling:
            return True
        if fresh:
            self._tell_listeners(fresh)
        names = {tag: self._client.keys.tag(tag) for tag in telling}
        commands: list[Command] = [
            ("SET", names[tag].key, names[tag].seal(version), "PX", 1000 * TAG_TTL) for tag, version in telling.items()
        ]
        body = json.dumps({tag: version.hex() for tag, version in telling.items()})
        replies = await self._client.execute([*commands, self._backplane.message(_KIND, body.encode())])
        if isinstance(replies, NotKnown):
            return False
        if any(isinstance(reply, Refused) for reply in replies):
            # A full server still forgets, and absent is invalid too.
            await self._client.execute([("UNLINK", name.key) for name in names.values()])
            return False
        self.outbox.hear(telling, now())
        return True

    def _look_back(self) -> None:
        """Tell again what was told just before the connection was lost."""
        lost_at = self._client.links.lost_at
        if lost_at is not None:
            self.outbox.doubt(lost_at)
            self._has_news.set()

    def _hear(self, body: bytes) -> None:
        said = json.loads(body)
        if not isinstance(said, dict):
            raise TypeError
        self._tell_listeners({str(tag): bytes.fromhex(version) for tag, version in said.items()})

    def _miss(self) -> None:
        for _, tell in self._listeners:
            tell()

    def _tell_listeners(self, versions: Mapping[str, bytes]) -> None:
        for tell, _ in self._listeners:
            tell(versions)
