"""One look-up waits for one deadline, however many answers of a far server it takes. In virtual time."""

from __future__ import annotations

import random

import anyio

from tests.servers.pretend_redis import PretendRedis
from tests.servers.shared_tiers import NAMESPACE, key_of
from tests.servers.virtual_time import run_virtually
from trunkline.cache.link import Link
from trunkline.cache.redis_tier import RedisTier
from trunkline.clock import now
from trunkline.events import Event
from trunkline.policy import RedisPolicy


def ignore(_event: Event) -> None:
    """Tell nobody."""


def test_a_look_up_takes_no_longer_than_a_deadline_and_a_half_and_what_it_lacked_is_there_for_the_next() -> None:
    redis = PretendRedis()
    wire = redis.wire(random.Random(1), usual=0.0)

    def connect(_policy: RedisPolicy, _waits: float) -> Link:
        return redis.link(wire)

    async def main() -> None:
        it = RedisTier(
            RedisPolicy(url="redis://far"), namespace=NAMESPACE, emit=ignore, rng=random.Random(1), connect=connect
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.run)
            await it.client.links.until_found()
            longest, found_after = 0.0, []
            wire.latency = 0.048
            for number in range(200):
                tags = ("all", f"tag:{number}")
                for turn in range(4):
                    asked = now()
                    found = await it.read(key_of(number, tags))
                    longest = max(longest, now() - asked)
                    if found is not None:
                        found_after.append(turn)
                        break
                    # On its way or lost: the next one may come when it has arrived.
                    await anyio.sleep(5.0)
            assert 0.05 < longest <= 0.075 + 1e-6
            assert len(found_after) > 150
            assert max(found_after) > 0
            tasks.cancel_scope.cancel()

    run_virtually(main)
