"""The client of the shared tier: joined reads, background writes, a deadline that holds and a circuit of its own.

Every fault is "not known", never an exception. Whatever is late is abandoned together with its connections, so that no
answer can reach another question; while the circuit is open nobody waits, and nothing is sent but a probe.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.cache.keyspace import Keyspace
from trunkline.cache.link import NOT_KNOWN, Command, FaultKind, NotKnown, Refused, Reply
from trunkline.cache.link_keeper import Connect, LinkKeeper
from trunkline.cache.link_session import LinkSession
from trunkline.cache.pending_writes import PendingWrites
from trunkline.cache.shared_clock import SharedClock
from trunkline.errors import ConfigError
from trunkline.events import Emit
from trunkline.policy import RedisPolicy

__all__ = ["RedisClient", "RedisStatistics"]


@dataclass(frozen=True, slots=True)
class RedisStatistics:
    """What came of everything that was asked so far."""

    is_available: bool
    """Whether the circuit is closed."""
    reads: int
    """Keys that were looked up."""
    hits: int
    """Keys that were there."""
    unanswered: int
    """Questions whose answer is not known: late, lost, or not even asked."""
    written: int
    """Values written in the background."""
    dropped_writes: int
    """Values for which there was no room, no time or no tier."""
    refused: Mapping[str, int]
    """Commands that were answered with an error, by kind."""
    faults: Mapping[str, int]
    """What opened the circuit or kept it open, by kind."""
    commands: int
    """Commands sent, probes included."""


class RedisClient:
    """One Redis or Valkey, cluster or master, that may come and go. `run` keeps in touch with it."""

    def __init__(
        self,
        policy: RedisPolicy,
        *,
        emit: Emit,
        rng: random.Random,
        namespace: str = "default",
        connect: Connect | None = None,
    ) -> None:
        """Describe it; raises ConfigError for an unusable address, and where redis-py is not installed."""
        connect = connect or _redis_py()
        connect(policy, 0.0)  # opens nothing, and says now what is wrong with the address
        self.keys = Keyspace(namespace)
        self._links = LinkKeeper(
            policy,
            connect=connect,
            clock_key=self.keys.backplane,
            emit=emit,
            rng=rng,
        )
        self._links.on_lost.append(self._drop_writes)
        self._pending = PendingWrites(policy.pending_writes)
        self._writer: asyncio.Task[None] | None = None
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def __repr__(self) -> str:
        counts = self._counts
        return (
            f"<RedisClient {'in touch' if self.is_available else 'on its own'} [{counts['hits']} of {counts['reads']} "
            f"found, {len(self._pending)} writes pending, {self._links.faults.total()} faults]>"
        )

    @property
    def is_available(self) -> bool:
        """Whether the circuit is closed: it answered last time."""
        return self._links.session is not None

    @property
    def clock(self) -> SharedClock | None:
        """The server's clock; None while the circuit is open."""
        session = self._links.session
        return None if session is None else session.clock

    @property
    def links(self) -> LinkKeeper:
        """Its connections."""
        return self._links

    def statistics(self) -> RedisStatistics:
        """The counts so far. No I/O."""
        counts = self._counts
        return RedisStatistics(
            is_available=self.is_available,
            reads=counts["reads"],
            hits=counts["hits"],
            unanswered=counts["unanswered"],
            written=counts["written"],
            dropped_writes=counts["dropped_writes"],
            refused=dict(self._refused),
            faults=dict(self._links.faults),
            commands=self._links.commands,
        )

    async def get(self, key: bytes) -> bytes | NotKnown | None:
        """One value; None where there is none."""
        session, counts = self._links.session, self._counts
        counts["reads"] += 1
        values = NOT_KNOWN if session is None else await session.reads.ask((key,))
        if values is NOT_KNOWN:
            counts["unanswered"] += 1
            return NOT_KNOWN
        counts["hits"] += values[0] is not None
        return values[0]

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None] | NotKnown:
        """Some values, joined with what others ask for at the same time."""
        session, counts = self._links.session, self._counts
        counts["reads"] += len(keys)
        values = NOT_KNOWN if session is None else await session.reads.ask(keys)
        if isinstance(values, NotKnown):
            counts["unanswered"] += 1
            return NOT_KNOWN
        counts["hits"] += len(values) - values.count(None)
        return values

    async def execute(self, commands: Sequence[Command]) -> Sequence[Reply] | NotKnown:
        """Send commands in one go; what each was answered, `Refused` included. Not one transaction."""
        session = self._links.session
        replies = NOT_KNOWN if session is None else await session.commands.ask(commands)
        if isinstance(replies, NotKnown):
            self._counts["unanswered"] += 1
            return NOT_KNOWN
        self._note_refused(replies)
        return replies

    def put(self, key: bytes, size: int, commands: Sequence[Command]) -> bool:
        """Let `commands` write `size` bytes at `key` in the background; whether that will be tried."""
        session = self._links.session
        if session is None or not commands or not self._pending.add(key, size, commands):
            self._counts["dropped_writes"] += 1
            return False
        if self._writer is None or self._writer.done():
            self._writer = self._links.start(self._write(session))
        return True

    async def flush(self, seconds: float) -> None:
        """Wait for writes in the background, so long at most."""
        if self._writer is not None and not self._writer.done():
            await asyncio.wait({self._writer}, timeout=seconds)

    def distrust(self, kind: FaultKind) -> None:
        """Give up the present connections, and open the circuit: what they say cannot be right, or they are gone."""
        session = self._links.session
        if session is not None:
            self._links.give_up(session, kind)

    async def check(self) -> None:
        """Ask for a sign of life, for `HealthMonitor.watch`; raises with the reason where there is none."""
        await self._links.check()

    async def run(self) -> None:
        """Keep in touch until cancelled. Connections stay until `aclose`, so that the last words can be sent."""
        await self._links.run()

    async def aclose(self) -> None:
        """Let go of the connections. Waits a second for what is under way, and does not cancel it."""
        await self._links.aclose()

    async def _write(self, session: LinkSession) -> None:
        while taken := self._pending.take():
            replies = await session.writes.ask([command for commands in taken for command in commands])
            if isinstance(replies, NotKnown):
                self._counts["dropped_writes"] += len(taken)
                return
            refused = self._note_refused(replies)
            self._counts["written"] += max(0, len(taken) - refused)

    def _drop_writes(self) -> None:
        self._counts["dropped_writes"] += self._pending.clear()

    def _note_refused(self, replies: Sequence[Reply]) -> int:
        refused = [reply.kind for reply in replies if isinstance(reply, Refused)]
        self._refused.update(refused)
        return len(refused)


def _redis_py() -> Connect:
    try:
        from trunkline.cache.redis_link import connect  # noqa: PLC0415 - an extra: not everybody has it
    except ImportError as error:
        msg = "a shared cache needs redis-py: pip install 'trunkline[redis]'"
        raise ConfigError([msg]) from error
    return connect
