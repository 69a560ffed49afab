"""A cluster and a sentinel's master, paused, killed, filled up and black-holed while sixty-four ask all the time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.crowds import crowd
from tests.servers.redis_servers import RedisServer, cluster, sentinels
from tests.servers.shared_tiers import entry_of, key_of
from tests.servers.watching import Record, eventually
from trunkline.events import SharedCacheFound, SharedCacheLost
from trunkline.policy import RedisPolicy
from trunkline.testing import FaultProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.integration,
    pytest.mark.resilience,
    pytest.mark.requirement("SEED-TEST-4"),
]

DEADLINE = 0.25
"""Seconds: a node more or less is a hop more or less, on a machine that may be busy."""


def pause(server: RedisServer, _: FaultProxy) -> None:
    server.pause()


def swallow(_: RedisServer, proxy: FaultProxy) -> None:
    proxy.freeze()


def kill(server: RedisServer, _: FaultProxy) -> None:
    server.kill()


FAULTS: dict[str, Callable[[RedisServer, FaultProxy], None]] = {"paused": pause, "black hole": swallow, "killed": kill}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_node_of_a_cluster_that_is_in_trouble_costs_hits_and_nothing_else(fault: str) -> None:
    record, proxies = Record(), list[FaultProxy]()
    async with cluster(behind=proxies) as nodes:
        addresses = tuple(f"127.0.0.1:{proxy.port}" for proxy in proxies)
        policy = RedisPolicy(
            url=f"redis://{addresses[0]}", mode="cluster", nodes=addresses[1:], deadline=DEADLINE, open_cap=0.5
        )
        async with crowd(policy, record) as seen:
            lost = len(record.of(SharedCacheLost))
            FAULTS[fault](nodes[1], proxies[1])
            await record.until(SharedCacheLost, count=lost + 1)
            await seen.until_more()
            if fault == "killed":
                await nodes[1].start()
            elif fault == "paused":
                nodes[1].resume()
            else:
                proxies[1].heal()
            await seen.until_hit()
            assert seen.wrong == 0


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_master_in_trouble_is_replaced_by_its_replica_and_hits_come_back_without_it(fault: str) -> None:
    record, proxies = Record(), list[FaultProxy]()
    async with sentinels(behind=proxies) as (watchers, master, replica):
        addresses = tuple(f"127.0.0.1:{watcher.port}" for watcher in watchers[1:])
        policy = RedisPolicy(
            url=watchers[0].url,
            mode="sentinel",
            sentinel_service="trunk",
            nodes=addresses,
            deadline=DEADLINE,
            open_cap=0.5,
        )
        async with crowd(policy, record) as seen:
            lost, found = len(record.of(SharedCacheLost)), len(record.of(SharedCacheFound))
            FAULTS[fault](master, proxies[0])
            await record.until(SharedCacheLost, count=lost + 1)
            await record.until(SharedCacheFound, count=found + 1)
            await seen.until_hit()
            assert seen.wrong == 0
        assert replica.ask("ROLE")[0] == b"master"


@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
async def test_full_ones_still_answer_and_take_nothing_new(topology: str) -> None:
    if topology == "cluster":
        async with cluster() as nodes:
            policy = RedisPolicy(url=nodes[0].url, mode="cluster", deadline=DEADLINE)
            await still_answers(policy, nodes)
    else:
        async with sentinels() as (watchers, master, _):
            policy = RedisPolicy(url=watchers[0].url, mode="sentinel", sentinel_service="trunk", deadline=DEADLINE)
            await still_answers(policy, [master])


async def still_answers(policy: RedisPolicy, servers: list[RedisServer]) -> None:
    """Fill the servers up under a crowd: writes are refused, what is there is found, and nobody sees an error."""
    async with crowd(policy) as seen:
        for server in servers:
            server.fill_up()
        it = seen.of
        found = None
        while found is None:
            found = await it.read(key_of(1))
        it.write(key_of(1), entry_of(1, found))
        await eventually(lambda: it.statistics().client.refused.get("full"), told=it.statistics)
        await seen.until_hit()
        assert seen.wrong == 0
