"""The leave to ask a server for what several processes miss: one key, held by a token, that ends by itself."""

from __future__ import annotations

import secrets
from typing import Final

from trunkline.cache.link import NotKnown, Refused
from trunkline.cache.redis_client import RedisClient

__all__ = ["RedisLease"]

# Only who has taken it gives it back: its time may be over and another may have it.
_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RedisLease:
    """One attempt to be the one."""

    def __init__(self, client: RedisClient, key: bytes) -> None:
        self._client = client
        self._key = key
        self._token = secrets.token_bytes(16)

    async def take(self, seconds: float) -> bool | None:
        """Whether it is ours now, for so many seconds; None where that is not known."""
        milliseconds = max(1, round(1000 * seconds))
        replies = await self._client.execute([("SET", self._key, self._token, "NX", "PX", milliseconds)])
        if isinstance(replies, NotKnown) or isinstance(replies[0], Refused):
            return None
        return replies[0] is not None

    async def release(self) -> None:
        """Let others go on; within the tier's deadline, and it ends by itself when its time is over."""
        await self._client.execute([("EVAL", _RELEASE, 1, self._key, self._token)])
