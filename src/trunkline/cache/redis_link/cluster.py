"""A link to a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import RedisCluster

from trunkline.cache.link import Command, Refused, Reply
from trunkline.cache.redis_link.faults import fault_of, refusal_of
from trunkline.cache.replies import rows_of, time_of, xread

__all__ = ["ClusterLink"]

_EVERYBODY: Final = RedisCluster.PRIMARIES
_RAW: Final = ("SET", "TIME", "PING", "XREAD", "XRANGE", "XREVRANGE", "GET")
"""Commands whose replies a cluster's client would otherwise shape differently from a plain connection."""


class ClusterLink:
    """A cluster: redis-py finds the node of each key, and asks all that are needed at once."""

    def __init__(self, cluster: RedisCluster) -> None:
        self.commands = 0
        self._cluster = cluster
        self._is_closed = False
        for command in _RAW:
            self._cluster.set_response_callback(command, _as_it_is)  # type: ignore[arg-type]

    async def open(self, lanes: Sequence[str]) -> None:
        """Connect, once for each lane."""
        await self._guarded(self._cluster.initialize(), connecting=True)
        # Each node opens a connection for each of these; the first question would have no time for that.
        signs = (self._guarded(self._cluster.execute_command("PING", target_nodes=_EVERYBODY)) for _ in lanes)
        for sign in await asyncio.gather(*signs, return_exceptions=True):
            if isinstance(sign, BaseException):
                raise sign

    async def fetch(self, lane: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys."""
        values = await self.exchange(lane, [("GET", key) for key in keys])
        # A GET of something that is no string is an error, where an MGET has nothing.
        return [None if isinstance(value, Refused) else value for value in values]

    async def exchange(self, lane: str, commands: Sequence[Command]) -> list[Reply]:
        """Send commands in one go, and return what each was answered."""
        self.commands += len(commands)
        pipeline = self._cluster.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        replies = await self._guarded(pipeline.execute(raise_on_error=False))
        return [refusal_of(reply) if isinstance(reply, Exception) else reply for reply in replies]

    async def follow(self, lane: str, stream: bytes, after: bytes, seconds: float, count: int) -> list[Reply]:
        """Entries of a stream beyond an id."""
        self.commands += 1
        node = self._cluster.get_node_from_key(stream.decode())
        command = xread(stream, after, seconds, count)
        return rows_of(await self._guarded(self._cluster.execute_command(*command, target_nodes=node)))

    async def now(self, lane: str, key: bytes) -> float:
        """A sign of life, and the time."""
        node = self._cluster.get_node_from_key(key.decode())
        self.commands += 1 + len(self._cluster.get_primaries())
        await self._guarded(self._cluster.execute_command("PING", target_nodes=_EVERYBODY))
        return time_of(await self._guarded(self._cluster.execute_command("TIME", target_nodes=node)))

    async def close(self) -> None:
        """Drop the connections, whatever is under way on them."""
        self._is_closed = True
        with suppress(Exception):  # boundary: of a link that is given up, nothing matters any more
            await self._cluster.aclose()

    async def _guarded(self, work: Awaitable[Any], *, connecting: bool = False) -> Any:
        try:
            return await work
        except Exception as error:  # boundary: theirs becomes ours
            raise fault_of(error, connecting=connecting) from None
        finally:
            # Closed meanwhile: a client that did not know its cluster yet has closed nothing, and one that is at work
            # gets to know it again when it is refused.
            if self._is_closed:
                await self.close()


def _as_it_is(reply: Any, **_: Any) -> Any:
    return reply
