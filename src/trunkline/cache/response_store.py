"""The tiers as the MCP SDK's own client wants a store: `mcp.Client(..., cache=CacheConfig(store=..., partition=...))`.

The SDK keeps its rules (whose entry, how long, what makes it invalid); this only holds what it is given. Written to its
`ResponseCacheStore` protocol without importing it: only a few modules of ours speak MCP.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from mcp_types import Result

from trunkline import clock
from trunkline.cache.bodies import body_of, parsed
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.key import KeySpace
from trunkline.cache.tags import ALL, custom_tag, entry_tag

if TYPE_CHECKING:
    from mcp.client.caching import CacheEntry
    from mcp.client.caching import CacheKey as ResponseKey

__all__ = ["ResponseStore", "StoredResponse"]

_FOR_EVER = 10 * 365 * 86400.0
"""Seconds: more than any answer is kept."""
_MOST_ASKED = 1024
_TAG = custom_tag("mcp.Client")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What was stored, read anew: the SDK's `CacheEntry` in all but name, which only a type checker would miss."""

    value: Result
    scope: Literal["public", "private"]
    expires_at: float | None


class ResponseStore:
    """Keeps the SDK's responses in a cache's tiers: bounded in memory, and shared where the cache has a shared tier.

    The cache has to be started, by a client or by hand, for the shared tier to be there.
    """

    def __init__(self, cache: CacheManager, *, wall: Callable[[], float] = time.time) -> None:
        """Store in `cache`; `wall` gives seconds since the epoch, as the SDK's own `CacheConfig.clock` does."""
        self._cache = cache
        self._wall = wall
        self._asked: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ResponseStore {self._cache!r}>"

    async def get(self, key: ResponseKey) -> CacheEntry | None:
        """What was stored; None for nothing, for what cannot be read, and for what is older than it may be."""
        tiers, ours, now = self._cache.tiers, self._key(key), clock.now()
        held = tiers.peek(ours, now)
        if held is None:
            await tiers.ask(ours)
            now = clock.now()
            held = tiers.peek(ours, now)
        if held is None:
            # The client asks its server now: what is made invalid meanwhile must not be stored afterwards.
            self._asked.setdefault(ours.digest, tiers.versions.current(ours.tags))
            if len(self._asked) > _MOST_ASKED:
                self._asked.popitem(last=False)
            return None
        entry = held.entry
        try:
            scope, is_dated, body = json.loads(entry.body)
            value = parsed(key.method, body.encode())
        except (ValueError, TypeError, AttributeError):
            self._cache.statistics.faults += 1
            tiers.memory.discard(ours.digest)
            return None
        left = entry.stored + entry.fresh_for - now
        return cast("CacheEntry", StoredResponse(value, scope, self._wall() + left if is_dated else None))

    async def set(self, key: ResponseKey, entry: CacheEntry) -> None:
        """Store a response in the place of what was there."""
        tiers, ours = self._cache.tiers, self._key(key)
        left = _FOR_EVER if entry.expires_at is None else entry.expires_at - self._wall()
        if left <= 0:
            tiers.memory.discard(ours.digest)
            return
        is_told = await tiers.ask(ours)
        told = body_of(key.method, entry.value)
        if told is None:
            tiers.memory.discard(ours.digest)
            return
        body = json.dumps([entry.scope, entry.expires_at is not None, told.decode()]).encode()
        now = clock.now()
        versions = self._asked.pop(ours.digest, None) or tiers.versions.current(ours.tags)
        tiers.store(ours, Entry(key.method, body, versions, now, left, 0.0, 0.0, 0.0, now), is_told=is_told)

    async def delete(self, key: ResponseKey) -> None:
        """Drop what was stored, in all processes."""
        ours = self._key(key)
        self._cache.tiers.bump(ours.tags[-1:])
        self._cache.tiers.memory.discard(ours.digest)

    async def clear(self) -> None:
        """Drop everything that was stored for the SDK's clients, in all processes of the namespace."""
        self._cache.tiers.bump([_TAG])

    def _key(self, key: ResponseKey) -> CacheKey:
        parts = [self._cache.settings.namespace, "mcp.Client", key.partition, key.method]
        space = KeySpace(parts, tags=(), name=key.method, is_shareable=True)
        digest = space.key({"params": key.params_key}).digest
        # A tag of its own instead of a shard: the client deletes one key of a pair right before it stores the other.
        return CacheKey(digest, (ALL, _TAG, entry_tag(digest)), is_shareable=True)
