"""Without a server, without the client library, without asyncio: everything goes on, and it is said why."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from typing import Any

import anyio
import pytest

from tests.servers.shared_tiers import entry_of, key_of, tier
from tests.servers.watching import Record, eventually
from trunkline.cache.redis_tier import RedisTier
from trunkline.cache.tier import Found
from trunkline.errors import ConfigError, TrunklineError
from trunkline.events import SharedCacheFound, SharedCacheLost
from trunkline.policy import RedisPolicy
from trunkline.testing.processes import free_port

SECRET = "hunter2-is-no-word"


async def nothing_is_known(of: RedisTier) -> None:
    key = key_of(1)
    assert not of.is_available
    assert of.synced_at == -math.inf
    assert await of.read(key) is None
    entry = entry_of(1, Found(None, dict.fromkeys(key.tags, b"v")))
    of.write(key, entry)
    assert not await of.write_through(key, entry)
    assert await of.claim(key, 5.0) is True
    of.bump({"all": b"v"})
    counts = of.statistics()
    assert (counts.found, counts.unheard, counts.client.dropped_writes) == (0, 1, 1)


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_not_known_and_told_once() -> None:
    record = Record()
    policy = RedisPolicy(url=f"redis://user:{SECRET}@127.0.0.1:{free_port()}", open_for=0.01, open_cap=0.01)
    async with tier(policy, record=record, found=False) as it:
        await eventually(lambda: it.statistics().client.faults.get("unreachable", 0) >= 3)
        await nothing_is_known(it)
        with pytest.raises(TrunklineError, match="the shared cache is not used: it cannot be reached") as caught:
            await it.check()
        shown = f"{it!r} {it.client!r} {it.client.links!r} {caught.value} {record.events} {it.statistics()}"
    (lost,) = record.of(SharedCacheLost)
    assert lost.reason == "it cannot be reached"
    assert record.of(SharedCacheFound) == []
    assert SECRET not in shown
    assert "127.0.0.1" not in shown


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.anyio
async def test_on_another_event_loop_everything_goes_on_in_memory_and_that_is_told_once(anyio_backend: Any) -> None:
    record = Record()
    async with tier(RedisPolicy(url="redis://127.0.0.1:1"), record=record, found=False) as it:
        await eventually(lambda: record.events)
        await nothing_is_known(it)
        with pytest.raises(TrunklineError, match="needs asyncio"):
            await it.check()
    assert [type(event) for event in record.events] == [SharedCacheLost]
    assert anyio_backend == "trio"


@pytest.mark.anyio
async def test_before_anybody_has_tried_nobody_waits() -> None:
    it = RedisTier(RedisPolicy(url="redis://127.0.0.1:1"), namespace="n", emit=Record(), rng=random.Random(1))
    with anyio.fail_after(5):
        await nothing_is_known(it)
    with pytest.raises(TrunklineError, match="nobody has connected"):
        await it.check()


@pytest.mark.parametrize(
    "policy",
    [
        RedisPolicy(url=f"redis://:{SECRET}@host:no-port"),
        RedisPolicy(url=f"redis://:{SECRET}@host", mode="cluster", nodes=("host",)),
        RedisPolicy(url=f"redis://:{SECRET}@host", mode="sentinel", sentinel_service="s", nodes=("host:x",)),
    ],
    ids=["port", "cluster node", "sentinel node"],
)
def test_an_address_that_makes_no_sense_is_a_mistake_in_the_configuration(policy: RedisPolicy) -> None:
    with pytest.raises(ConfigError, match="an address that works in mode") as caught:
        RedisTier(policy, namespace="n", emit=Record(), rng=random.Random(1))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_the_client_library_it_is_said_what_to_install() -> None:
    program = """
import random, sys
sys.modules["redis"] = None
from trunkline.cache.redis_tier import RedisTier
from trunkline.policy import RedisPolicy
try:
    RedisTier(RedisPolicy(url="redis://host"), namespace="n", emit=print, rng=random.Random(1))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "ConfigError a shared cache needs redis-py: pip install 'trunkline[redis]'"


@pytest.mark.anyio
async def test_what_is_nobodys_but_this_process_never_leaves_it() -> None:
    it = RedisTier(RedisPolicy(url="redis://127.0.0.1:1"), namespace="n", emit=Record(), rng=random.Random(1))
    key = key_of(1, is_shareable=False)
    entry = entry_of(1, Found(None, dict.fromkeys(key.tags, b"v")))
    it.write(key, entry)
    assert await it.read(key) is None
    assert not await it.write_through(key, entry)
    assert await it.claim(key, 5.0) is True
    counts = it.statistics().client
    assert (counts.reads, counts.unanswered, counts.dropped_writes, counts.commands) == (0, 0, 0, 0)
