"""What every store of responses promises, as one check that any implementation can be run against.

    await check_response_store(lambda: MyStore(...))

It is what the MCP SDK's `ResponseCacheStore` asks for, and what it says in words only: a value comes back as the same
result, keys are told apart field by field, and what a caller does to a result changes nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.client.caching import CacheEntry, CacheKey, ResponseCacheStore

__all__ = ["ContractBroken", "check_response_store"]

_KEY = CacheKey("resources/read", "note://1", "ada")
_VALUES: dict[str, types.Result] = {
    "tools/list": types.ListToolsResult(
        tools=[types.Tool(name="t", description="é", input_schema={"type": "object", "properties": {"n": {}}})],
        ttl_ms=1000,
        cache_scope="public",
    ),
    "prompts/list": types.ListPromptsResult(prompts=[types.Prompt(name="p")], next_cursor="2"),
    "resources/list": types.ListResourcesResult(resources=[types.Resource(name="r", uri="note://1")]),
    "resources/templates/list": types.ListResourceTemplatesResult(resource_templates=[]),
    "resources/read": types.ReadResourceResult(
        contents=[types.TextResourceContents(uri="note://1", text="one\n", _meta={"a": None})], ttl_ms=5
    ),
}
"""One result of each kind that is stored, by its method."""


class ContractBroken(AssertionError):
    """A store does not do what every store has to; the message says what."""


async def check_response_store(make: Callable[[], ResponseCacheStore]) -> None:
    """Run every check on a new store each, which `make` gives.

    Raises:
        ContractBroken: With the promise that was not kept.
    """
    for check in (_comes_back, _is_told_apart, _is_replaced, _is_deleted, _is_cleared, _is_isolated):
        await check(make())


async def _comes_back(store: ResponseCacheStore) -> None:
    _require(await store.get(_KEY) is None, "a key that nothing was stored under has nothing")
    for method, value in _VALUES.items():
        for scope in ("public", "private"):
            key, entry = CacheKey(method, scope, "ada"), _entry(value, scope)
            await store.set(key, entry)
            found = await store.get(key)
            _require(found is not None, f"what was stored comes back ({method})")
            if found is not None:
                same = type(found.value) is type(value) and found.value == value
                _require(same, f"a value comes back as the same result ({method})")
                _require(found.scope == scope, f"a scope comes back ({method})")
                close = found.expires_at is not None and abs(found.expires_at - (entry.expires_at or 0)) < 1.0
                _require(close, f"the time of expiry comes back ({method})")


async def _is_told_apart(store: ResponseCacheStore) -> None:
    await store.set(_KEY, _entry(_VALUES["resources/read"]))
    others = (
        CacheKey("resources/list", "note://1", "ada"),
        CacheKey("resources/read", "note://2", "ada"),
        CacheKey("resources/read", "note://1", "bob"),
        CacheKey("resources/read", "", "note://1ada"),
        CacheKey("resources/read", "note://1ada", ""),
    )
    for key in others:
        _require(await store.get(key) is None, f"another key has another entry ({key})")


async def _is_replaced(store: ResponseCacheStore) -> None:
    await store.set(_KEY, _entry(_VALUES["resources/read"]))
    other = types.ReadResourceResult(contents=[])
    await store.set(_KEY, _entry(other, "public"))
    found = await store.get(_KEY)
    _require(found is not None and found.value == other and found.scope == "public", "the last one stored counts")


async def _is_deleted(store: ResponseCacheStore) -> None:
    await store.delete(_KEY)
    await store.set(_KEY, _entry(_VALUES["resources/read"]))
    await store.delete(_KEY)
    _require(await store.get(_KEY) is None, "what was deleted is gone")
    await store.set(_KEY, _entry(_VALUES["resources/read"]))
    _require(await store.get(_KEY) is not None, "what was deleted may be stored again")


async def _is_cleared(store: ResponseCacheStore) -> None:
    keys = [CacheKey(method, "", partition) for method in _VALUES for partition in ("ada", "bob")]
    for key in keys:
        await store.set(key, _entry(_VALUES[key.method]))
    await store.clear()
    for key in keys:
        _require(await store.get(key) is None, "after a clear there is nothing")


async def _is_isolated(store: ResponseCacheStore) -> None:
    # The SDK copies what it stores and what it serves; a store must not undo that by mixing two entries up.
    first, second = CacheKey("resources/read", "1", "ada"), CacheKey("resources/read", "2", "ada")
    await store.set(first, _entry(types.ReadResourceResult(contents=[], _meta={"n": 1})))
    await store.set(second, _entry(types.ReadResourceResult(contents=[], _meta={"n": 2})))
    found = [await store.get(key) for key in (first, second)]
    told: list[Any] = [entry and entry.value.meta for entry in found]
    _require(told == [{"n": 1}, {"n": 2}], "each key has its own value")


def _entry(value: types.Result, scope: Any = "private") -> CacheEntry:
    return CacheEntry(value=value, scope=scope, expires_at=time.time() + 60.0)


def _require(is_kept: bool, promise: str) -> None:
    if not is_kept:
        raise ContractBroken(promise)
