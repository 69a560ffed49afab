"""How processes tell each other of what the shared tier cannot show: a Redis Stream, read from the last known id on.

Pub/sub and client tracking lose what happens while a receiver is away; a stream replays it. Where it cannot (trimmed,
vanished, begun anew by another server), that is noticed by the last entry read not being there any more: streams lose
their oldest entries first, so nothing after it is missing while it is. Messages have a kind, and each kind receivers.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import anyio

from trunkline.cache.link import Command, Link, LinkFault, Reply
from trunkline.cache.redis_client import RedisClient
from trunkline.clock import now

__all__ = ["Backplane", "BackplaneStatistics"]

_LENGTH: Final = 10_000
"""Entries kept, about."""
_TTL: Final = 7 * 86_400
"""Seconds the stream outlives its last reader."""
_TOGETHER: Final = 512
_LONGEST_WAIT: Final = 1.0
_SLACK: Final = 0.5
"""Seconds an answer may be late."""
_PAUSE: Final = 1.0
"""Seconds until the next try where the tier answers, and refuses this."""


@dataclass(frozen=True, slots=True)
class BackplaneStatistics:
    """What came over it."""

    messages: int
    """Of other processes."""
    gaps: int
    """Times that messages may have been missed."""
    damaged: int
    """Messages that could not be read; each is a gap as well."""


def _seal(kind: bytes, instance: bytes, body: bytes) -> bytes:
    """What shows that nothing was changed on the way: an unknown kind is passed over, a changed one must not be."""
    return blake2b(b"%b:%b:%b" % (kind, instance, body), digest_size=8).digest()


class Backplane:
    """One reader with an id of its own. `run` reads; messages are sent as commands among others."""

    def __init__(self, client: RedisClient, *, max_unsynced: float) -> None:
        self.synced_at = -math.inf
        """When it was last known (seconds on the loop's clock) that no message is outstanding."""
        self._client = client
        self._stream = client.keys.backplane
        self._wait = min(_LONGEST_WAIT, max_unsynced / 4)
        self._instance = secrets.token_hex(8).encode()
        self._receivers: dict[bytes, list[Callable[[bytes], None]]] = {}
        self._on_gap: list[Callable[[], None]] = []
        self._last: Reply = None
        self._kept_at = -math.inf
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Backplane [{self._counts['messages']} messages, {self._counts['gaps']} gaps]>"

    def statistics(self) -> BackplaneStatistics:
        """The counts so far. No I/O."""
        counts = self._counts
        return BackplaneStatistics(counts["messages"], counts["gaps"], counts["damaged"])

    def subscribe(self, kind: str, receive: Callable[[bytes], None], on_gap: Callable[[], None]) -> None:
        """Hear of the bodies of one kind of message (raise ValueError for what is none), and of gaps."""
        self._receivers.setdefault(kind.encode(), []).append(receive)
        self._on_gap.append(on_gap)

    def message(self, kind: str, body: bytes) -> Command:
        """The command that tells everybody else."""
        seal = _seal(kind.encode(), self._instance, body)
        return ("XADD", self._stream, "MAXLEN", "~", _LENGTH, "*", "k", kind, "i", self._instance, "b", body, "s", seal)

    async def run(self) -> None:
        """Read while the tier is there, until cancelled."""
        links = self._client.links
        while True:
            await links.until_found()
            link: Link | None = None
            try:
                link = await links.open_tail(self._wait)
                await self._follow(link)
            except LinkFault as fault:
                if link is None and fault.kind != "denied":
                    self._client.distrust(fault.kind)
                elif fault.kind in ("denied", "not_ready"):
                    await anyio.sleep(_PAUSE)
            finally:
                if link is not None:
                    links.retire(link)

    async def _follow(self, link: Link) -> None:
        links = self._client.links
        if self._last is None:
            await self._begin(link)
        while True:
            asked, last = now(), self._last
            reading = link.follow("tail", self._stream, last[0], self._wait, _TOGETHER)
            rows = await links.abandonable(reading, self._wait + _SLACK)
            for row in rows:
                self._take(row)
            if await self._exchange(link, ("XRANGE", self._stream, last[0], last[0])) != [last]:
                self._last = None
                self._counts["gaps"] += 1
                await self._begin(link)
            elif not rows:
                # The server looked again when the wait was over, and it began to wait after it was asked.
                self.synced_at = asked + self._wait
            elif len(rows) < _TOGETHER:
                self.synced_at = asked

    async def _begin(self, link: Link) -> None:
        """Find a place to read on from. What came before it is not known."""
        asked = now()
        # A full server refuses the entry; then the last one that is there will do.
        await self._exchange(link, self.message("hello", b""))
        rows = await self._exchange(link, ("XREVRANGE", self._stream, "+", "-", "COUNT", 1))
        if not isinstance(rows, list) or not rows:
            raise LinkFault("not_ready")
        self._last = rows[0]
        self._tell_gap()
        self.synced_at = asked

    async def _exchange(self, link: Link, command: Command) -> Reply:
        commands = [command]
        if now() - self._kept_at > _TTL / 100:
            self._kept_at = now()
            commands.append(("PEXPIRE", self._stream, 1000 * _TTL))
        replies = await self._client.links.abandonable(link.exchange("tail", commands), _SLACK)
        return replies[0]

    def _take(self, row: Reply) -> None:
        self._last = row
        try:
            _, parts = row
            fields = dict(zip(parts[::2], parts[1::2], strict=True))
            kind, instance, body = fields[b"k"], fields[b"i"], fields[b"b"]
            if fields[b"s"] == _seal(kind, instance, body):
                self._pass_on(kind, instance, body)
                return
        except (LookupError, TypeError, ValueError):
            pass  # unreadable, as what was changed on its way
        # It may have been what somebody must hear.
        self._counts["damaged"] += 1
        self._tell_gap()

    def _pass_on(self, kind: bytes, instance: bytes, body: bytes) -> None:
        if instance != self._instance:
            self._counts["messages"] += 1
            for receive in self._receivers.get(kind, ()):
                receive(body)

    def _tell_gap(self) -> None:
        for tell in self._on_gap:
            tell()
