"""A Redis in this process, at the lowest seam there is: a `Link`. For virtual time, where nothing real is waited for.

It does to each process's connections what networks and crashes do: requests and answers are late, lost or mixed up,
each by itself. Commands it does not know are a mistake of the test.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from trunkline.cache.link import Command, Link, LinkFault, Refused, Reply
from trunkline.cache.replies import rows_of, time_of, xread
from trunkline.clock import now

__all__ = ["PretendRedis", "Wire"]


@dataclass(slots=True)
class Wire:
    """How one process gets to the server: what is wrong on the way."""

    rng: random.Random
    usual: float = 0.0
    """Seconds each way takes at most when all is well."""
    latency: float = 0.0
    """Seconds each way takes at most now."""
    is_black_hole: bool = False
    is_refusing: bool = False
    shifts: int = 0
    """Connections of which the next answer gets something before it that was not asked for."""
    garbles: int = 0
    """How many of the next messages arrive with a byte of them changed."""
    loses: float = 0.0
    """Share of requests and of answers with which the connection is lost."""
    links: set[_PretendLink] = field(default_factory=set)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def heal(self) -> None:
        """End every fault. What was cut stays cut."""
        self.latency, self.loses = self.usual, 0.0
        self.is_black_hole = self.is_refusing = False
        self.shifts = self.garbles = 0
        self.tell()

    def cut(self) -> None:
        """Lose every present connection."""
        for link in self.links:
            link.is_lost = True
        self.links.clear()
        self.tell()

    def tell(self) -> None:
        """Let those look again who wait for something."""
        changed, self.changed = self.changed, anyio.Event()
        changed.set()


class PretendRedis:
    """The server: its keys, its one stream, and a clock of its own."""

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[bytes, float]] = {}
        """Values with the time of the loop at which they end."""
        self.stream: list[list[Any]] = []
        self.offset = 1_700_000_000.0
        self.is_full = False
        self.is_down = False
        self.is_paused = False
        self.wires: list[Wire] = []
        self._serial = 0
        self._added = anyio.Event()

    def wire(self, rng: random.Random, usual: float = 0.0) -> Wire:
        """Another process's way to it; `usual` are the seconds each way takes at most when all is well."""
        wire = Wire(rng, usual, usual)
        self.wires.append(wire)
        return wire

    def link(self, wire: Wire) -> Link:
        """A link over it, not open yet."""
        return _PretendLink(self, wire)

    def kill(self) -> None:
        """Gone, with everything it had and every connection to it."""
        self.is_down = True
        self.flush()
        for wire in self.wires:
            wire.cut()

    def heal(self) -> None:
        """Up, going on, with room."""
        self.is_down = self.is_full = self.is_paused = False
        self.tell()

    def flush(self) -> None:
        """FLUSHALL."""
        self.values.clear()
        self.stream.clear()

    def tell(self) -> None:
        """Let those look again who wait for something."""
        added, self._added = self._added, anyio.Event()
        added.set()
        for wire in self.wires:
            wire.tell()

    def keys(self, kind: bytes) -> list[bytes]:
        """The names of all entries (`:e:`) or tags (`:t:`)."""
        return sorted(name for name in self.values if kind in name)

    async def followed(self, after: bytes, seconds: float, count: int) -> Reply:
        """What XREAD answers."""
        with anyio.move_on_after(seconds):
            while not self._beyond(after):
                await self._added.wait()
        rows = self._beyond(after)[:count]
        return [[b"bp", [list(row) for row in rows]]] if rows else None

    def answer(self, command: Command) -> Reply:  # noqa: C901 - a row for each command
        """What it answers."""
        verb, *words = command
        match verb:
            case "MGET":
                return [self._get(_bytes(name)) for name in words]
            case "GET":
                return self._get(_bytes(words[0]))
            case "SET":
                return self._set(_bytes(words[0]), _bytes(words[1]), words[2:])
            case "PEXPIRE":
                return self._expire(_bytes(words[0]), words[1])
            case "UNLINK" | "DEL":
                return sum(self.values.pop(_bytes(name), None) is not None for name in words)
            case "XADD":
                return self._add([_bytes(word) for word in words[words.index("*") + 1 :]])
            case "XRANGE":
                return [row for row in self.stream if row[0] == _bytes(words[1])]
            case "XREVRANGE":
                return self.stream[-1:]
            case "PING":
                return b"PONG"
            case "TIME":
                moment = now() + self.offset
                return [b"%d" % int(moment), b"%d" % int(1e6 * (moment % 1))]
            case "EVAL":
                return self._release(_bytes(words[2]), _bytes(words[3]))
        msg = f"it has never heard of {verb!r}"
        raise AssertionError(msg)

    def _release(self, name: bytes, token: bytes) -> int:
        if self._get(name) != token:
            return 0
        del self.values[name]
        return 1

    def _get(self, name: bytes) -> bytes | None:
        found = self.values.get(name)
        if found is not None and found[1] <= now():
            del self.values[name]
            return None
        return None if found is None else found[0]

    def _set(self, name: bytes, value: bytes, options: Sequence[Any]) -> Reply:
        if "NX" in options and self._get(name) is not None:
            return None
        if self.is_full:
            return Refused("full")
        self.values[name] = value, now() + options[options.index("PX") + 1] / 1000
        return b"OK"

    def _expire(self, name: bytes, milliseconds: Any) -> int:
        found = self._get(name)
        if found is not None:
            self.values[name] = found, now() + milliseconds / 1000
        return int(found is not None)

    def _add(self, parts: list[bytes]) -> Reply:
        if self.is_full:
            return Refused("full")
        self._serial += 1
        self.stream.append([b"%d-0" % self._serial, parts])
        added, self._added = self._added, anyio.Event()
        added.set()
        return self.stream[-1][0]

    def _beyond(self, after: bytes) -> list[list[Any]]:
        serial = _serial(after)
        # Mostly there is nothing, or very little: look from the end.
        start = len(self.stream)
        while start and _serial(self.stream[start - 1][0]) > serial:
            start -= 1
        return self.stream[start:]


class _PretendLink:
    def __init__(self, server: PretendRedis, wire: Wire) -> None:
        self.commands = 0
        self.is_lost = False
        self._server = server
        self._wire = wire
        self._late: dict[str, deque[Reply]] = {}

    async def open(self, lanes: Sequence[str]) -> None:
        await self._travel()
        if self._wire.is_refusing or self._server.is_down:
            raise LinkFault("unreachable")
        self._wire.links.add(self)
        self._late = {lane: deque() for lane in lanes}

    async def fetch(self, lane: str, keys: Sequence[bytes]) -> list[bytes | None]:
        (values,) = await self._exchanged([("MGET", *keys)])
        late = self._mixed_up(lane, values)
        if late is not None:
            late.extend(values)
            values = [late.popleft() for _ in keys]
        if any(value is not None and not isinstance(value, bytes) for value in values):
            raise LinkFault("mixed_up")
        return list(values)

    async def exchange(self, lane: str, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._exchanged(commands)
        late = self._mixed_up(lane, replies)
        if late is None:
            return replies
        late.extend(replies)
        return [late.popleft() for _ in commands]

    async def follow(self, lane: str, stream: bytes, after: bytes, seconds: float, count: int) -> list[Reply]:
        await self._travel()
        command = xread(stream, after, seconds, count)
        self.commands += 1
        reply = await self._server.followed(after, command[4] / 1000, count)  # type: ignore[operator]
        await self._travel()
        late = self._mixed_up(lane, [reply])
        if late is not None:
            late.append(reply)
            reply = late.popleft()
        rows = rows_of(reply)
        if rows and self._wire.garbles:
            self._wire.garbles -= 1
            row = self._wire.rng.choice(rows)
            words = row[1] = list(row[1])
            number = self._wire.rng.randrange(len(words))
            spoilt = bytearray(words[number] or b"-")
            spoilt[self._wire.rng.randrange(len(spoilt))] ^= self._wire.rng.randrange(1, 256)
            words[number] = bytes(spoilt)
        return rows

    async def now(self, lane: str, key: bytes) -> float:
        return time_of((await self.exchange(lane, [("PING",), ("TIME",)]))[1])

    async def close(self) -> None:
        self.is_lost = True
        self._wire.links.discard(self)
        self._wire.tell()

    async def _exchanged(self, commands: Sequence[Command]) -> list[Reply]:
        await self._travel()
        self.commands += len(commands)
        replies = [self._server.answer(command) for command in commands]
        await self._travel()
        return replies

    def _mixed_up(self, lane: str, replies: Sequence[Reply]) -> deque[Reply] | None:
        """What waits to be read on this connection, if it is out of step or is to be from now on."""
        late = self._late[lane]
        if self._wire.shifts and replies:
            self._wire.shifts -= 1
            rng = self._wire.rng
            late.appendleft(rng.choice([rng.choice(replies), None, rng.randbytes(12), b"OK", 1]))
        return late or None

    async def _travel(self) -> None:
        wire, server = self._wire, self._server
        if wire.latency:
            await anyio.sleep(wire.latency * wire.rng.random())
        while wire.is_black_hole or server.is_paused:
            if self.is_lost:
                break
            await wire.changed.wait()
        if wire.loses and wire.rng.random() < wire.loses:
            self.is_lost = True
        if self.is_lost:
            self._wire.links.discard(self)
            raise LinkFault("lost")


def _bytes(word: str | bytes | int) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def _serial(name: bytes) -> int:
    return int(name.partition(b"-")[0])
