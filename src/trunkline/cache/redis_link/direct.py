"""A link to one server: given by its address, or the master that sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from trunkline.cache.link import Command, LinkFault, Refused, Reply
from trunkline.cache.redis_link.faults import fault_of, refusal_of
from trunkline.cache.replies import mget, rows_of, time_of, xread

__all__ = ["DirectLink"]


class DirectLink:
    """One server: a connection of its own for each lane, which redis-py's pool only opens and closes."""

    def __init__(self, pool: ConnectionPool, *close_others: Callable[[], Awaitable[None]]) -> None:
        self.commands = 0
        self._pool = pool
        self._close_others = close_others
        self._connections: dict[str, AbstractConnection] = {}
        self._transports: list[asyncio.WriteTransport] = []
        self._is_closed = False

    async def open(self, lanes: Sequence[str]) -> None:
        """Connect, once for each lane."""
        try:
            for lane in lanes:
                connection = self._connections[lane] = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                # redis-py cannot abort, and a transport with unsent bytes stays open while its peer is frozen.
                writer = connection._writer  # noqa: SLF001
                if writer is not None:
                    self._transports.append(writer.transport)
                if self._is_closed:
                    await self.close()  # given up meanwhile; what was opened since belongs to nobody
                    break
        except Exception as error:  # boundary: theirs becomes ours
            raise fault_of(error, connecting=True) from None

    async def fetch(self, lane: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys."""
        self.commands += 1
        (values,) = await self._send(lane, [mget(keys)], 1)
        if isinstance(values, Refused):
            raise LinkFault("denied" if values.kind == "denied" else "no_answer")
        if not isinstance(values, list) or len(values) != len(keys):
            raise LinkFault("mixed_up")
        return values

    async def exchange(self, lane: str, commands: Sequence[Command]) -> list[Reply]:
        """Send commands in one go, and return what each was answered."""
        self.commands += len(commands)
        return await self._send(lane, self._connections[lane].pack_commands(commands), len(commands))

    async def _send(self, lane: str, packed: Sequence[bytes], answers: int) -> list[Reply]:
        connection = self._connections[lane]
        # It would connect again by itself, and the deadline is not made for that.
        if not connection.is_connected:
            raise LinkFault("lost")
        try:
            await connection.send_packed_command(packed, check_health=False)
            replies = [await _reply(connection) for _ in range(answers)]
            has_more = await connection.can_read()
        except LinkFault:
            raise
        except Exception as error:  # boundary: theirs becomes ours
            raise fault_of(error) from None
        if has_more:
            raise LinkFault("mixed_up")
        return replies

    async def follow(self, lane: str, stream: bytes, after: bytes, seconds: float, count: int) -> list[Reply]:
        """Entries of a stream beyond an id."""
        (reply,) = await self.exchange(lane, [xread(stream, after, seconds, count)])
        return rows_of(reply)

    async def now(self, lane: str, key: bytes) -> float:
        """A sign of life, and the time."""
        return time_of((await self.exchange(lane, [("PING",), ("TIME",)]))[1])

    async def close(self) -> None:
        """Drop the connections, whatever is under way on them."""
        self._is_closed = True
        for transport in self._transports:
            transport.abort()
        for close in (self._pool.disconnect, *self._close_others):
            with suppress(Exception):  # boundary: of a link that is given up, nothing matters any more
                await close()


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return refusal_of(error)
