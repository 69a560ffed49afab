"""A plain `mcp.Client` is served by our tiers, through the SDK's own seam for stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.caching import CacheConfig, CacheEntry, CacheKey, InMemoryResponseCacheStore, ResponseCacheStore
from mcp.server import Server

from tests.unit.cache.shared import Shared
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.response_store import ResponseStore
from trunkline.policy import CacheSettings
from trunkline.testing import ContractBroken, check_response_store

pytestmark = pytest.mark.anyio


def ours() -> ResponseCacheStore:
    return ResponseStore(CacheManager())


def shared() -> ResponseCacheStore:
    return ResponseStore(CacheManager(tier=Shared().tier()))


@pytest.mark.parametrize("make", [ours, shared, InMemoryResponseCacheStore], ids=["memory", "shared", "the SDK's"])
async def test_a_store_keeps_the_contract(make: Callable[[], ResponseCacheStore]) -> None:
    await check_response_store(make)


class Forgetful(InMemoryResponseCacheStore):
    """Stores nothing."""

    async def set(self, key: CacheKey, entry: CacheEntry) -> None:
        """Forget at once."""


class Confused(InMemoryResponseCacheStore):
    """Takes no notice of the partition."""

    async def get(self, key: CacheKey) -> CacheEntry | None:
        return await super().get(CacheKey(key.method, key.params_key))

    async def set(self, key: CacheKey, entry: CacheEntry) -> None:
        await super().set(CacheKey(key.method, key.params_key), entry)


class Stubborn(InMemoryResponseCacheStore):
    """Deletes nothing."""

    async def delete(self, key: CacheKey) -> None:
        """Keep it."""


class Full(InMemoryResponseCacheStore):
    """Clears nothing."""

    async def clear(self) -> None:
        """Keep it all."""


class Raw(InMemoryResponseCacheStore):
    """Gives back something else than the result."""

    async def get(self, key: CacheKey) -> CacheEntry | None:
        found = await super().get(key)
        return found and CacheEntry(found.value.model_dump(), found.scope, found.expires_at)


class Public(InMemoryResponseCacheStore):
    """Lets anybody have everything."""

    async def get(self, key: CacheKey) -> CacheEntry | None:
        found = await super().get(key)
        return found and CacheEntry(found.value, "public", found.expires_at)


@pytest.mark.parametrize(
    ("make", "promise"),
    [
        (Forgetful, "what was stored comes back"),
        (Confused, "another key has another entry"),
        (Stubborn, "what was deleted is gone"),
        (Full, "after a clear there is nothing"),
        (Raw, "a value comes back as the same result"),
        (Public, "a scope comes back"),
    ],
)
async def test_a_store_that_breaks_the_contract_is_told_which_promise(
    make: Callable[[], ResponseCacheStore], promise: str
) -> None:
    with pytest.raises(ContractBroken, match=promise):
        await check_response_store(make)


class Notes(Server[dict[str, Any]]):
    """A server of the stateless era whose notes may be kept for a minute."""

    def __init__(self) -> None:
        super().__init__("notes", on_read_resource=self._read, on_list_resources=self._list)
        self.read = 0
        self.listed = 0

    async def _read(self, _context: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        self.read += 1
        content = types.TextResourceContents(uri=params.uri, text=f"note {self.read}")
        return types.ReadResourceResult(contents=[content], ttl_ms=60_000)

    async def _list(self, _context: object, _params: object) -> types.ListResourcesResult:
        self.listed += 1
        return types.ListResourcesResult(resources=[types.Resource(name="n", uri="note://1")], ttl_ms=60_000)


def a_client(server: Server[Any], store: ResponseCacheStore, partition: str = "ada") -> Client:
    config = CacheConfig(store=store, partition=partition, target_id="notes")
    return Client(server, cache=config)


def text(result: types.ReadResourceResult) -> str:
    return result.contents[0].text  # type: ignore[union-attr]


async def test_a_plain_client_reads_a_resource_once() -> None:
    server, store = Notes(), ours()
    async with a_client(server, store) as client:
        first = await client.read_resource("note://1")
        assert text(await client.read_resource("note://1")) == text(first) == "note 1"
        for _ in range(2):
            assert len((await client.list_resources()).resources) == 1
    async with a_client(server, store) as other:
        assert text(await other.read_resource("note://1")) == "note 1"
    assert (server.read, server.listed) == (1, 1)


async def test_another_partition_is_another_principal() -> None:
    server, store = Notes(), ours()
    async with a_client(server, store) as ada, a_client(server, store, "bob") as bob:
        assert [text(await client.read_resource("note://1")) for client in (ada, bob, ada)] == [
            "note 1",
            "note 2",
            "note 1",
        ]


async def test_clients_of_several_processes_share_what_one_of_them_read() -> None:
    server, tiers = Notes(), Shared()
    stores = [ResponseStore(CacheManager(tier=tiers.tier())) for _ in range(2)]
    async with a_client(server, stores[0]) as here, a_client(server, stores[1]) as there:
        await here.read_resource("note://1")
        assert text(await there.read_resource("note://1")) == "note 1"
        await stores[0].clear()
        assert text(await there.read_resource("note://1")) == "note 2"


async def test_whatever_clears_the_cache_clears_the_store() -> None:
    cache = CacheManager()
    store = ResponseStore(cache)
    async with a_client(Notes(), store) as client:
        await client.read_resource("note://1")
        cache.clear()
        assert text(await client.read_resource("note://1")) == "note 2"


KEY = CacheKey("resources/read", "note://1", "ada")
VALUE = types.ReadResourceResult(contents=[])


async def test_what_is_deleted_while_it_is_being_fetched_is_not_stored_afterwards() -> None:
    tiers = Shared()
    here, there = [ResponseStore(CacheManager(tier=tiers.tier())) for _ in range(2)]
    assert await here.get(KEY) is None
    await there.delete(KEY)
    await here.set(KEY, CacheEntry(VALUE, "private", 9e9))
    assert await here.get(KEY) is None
    await here.set(KEY, CacheEntry(VALUE, "private", 9e9))
    assert await here.get(KEY) is not None


async def test_an_entry_goes_when_its_time_is_over() -> None:
    wall = 1000.0
    store = ResponseStore(CacheManager(), wall=lambda: wall)
    await store.set(KEY, CacheEntry(VALUE, "private", 1005.0))
    await anyio.sleep(4.0)
    found = await store.get(KEY)
    assert found is not None
    assert found.expires_at == pytest.approx(wall + 1.0)
    await anyio.sleep(1.1)
    assert await store.get(KEY) is None
    await store.set(KEY, CacheEntry(VALUE, "private", 999.0))
    assert await store.get(KEY) is None


async def test_an_entry_without_a_time_is_never_fresh_and_comes_back_so() -> None:
    store = ours()
    await store.set(KEY, CacheEntry(VALUE, "private", None))
    found = await store.get(KEY)
    assert found is not None
    assert found.expires_at is None


@pytest.mark.parametrize("body", [b"{broken", b"[]", b'["private", true, "{}"]', b'["private", true, 7]'])
async def test_what_cannot_be_read_is_nothing(body: bytes) -> None:
    cache = CacheManager(CacheSettings())
    store = ResponseStore(cache)
    await store.set(KEY, CacheEntry(VALUE, "private", 9e9))
    for place in cache.tiers.memory._small.values():
        place.value.entry.body = body
    assert await store.get(KEY) is None
    assert cache.stats().faults == 1


async def test_a_value_that_has_no_json_is_not_stored() -> None:
    store = ours()
    await store.set(KEY, CacheEntry(types.ReadResourceResult(contents=[], _meta={"n": float("nan")}), "private", 9e9))
    assert await store.get(KEY) is None


def test_a_store_says_what_it_stores_in() -> None:
    assert repr(ours()).startswith("<ResponseStore <CacheManager <Memory [0 entries")
