"""An infrastructure and its Redis: entered without it, told of it, reloaded beside it."""

from __future__ import annotations

import socket
import sys
from typing import Any

import anyio
import pytest

from tests.servers.redis_servers import redis_server
from tests.servers.watching import Record, eventually
from trunkline import Infrastructure
from trunkline.config import load
from trunkline.events import ConfigReloaded, SharedCacheFound, SharedCacheLost
from trunkline.health.report import DependencyHealth
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.testing import faulty_stdio
from trunkline.testing.processes import free_port

pytestmark = pytest.mark.anyio


def configuration(**cache: Any) -> dict[str, Any]:
    endpoint = faulty_stdio()
    return {
        "mcpServers": {"lab": {"command": endpoint.command, "args": list(endpoint.args)}},
        "trunkline": {
            "tools": {"lab_*": {"cache": {"ttl": 60, "invalidates": []}}},
            "cache": {"partition": "all", **cache},
        },
    }


def redis_of(infra: Infrastructure) -> DependencyHealth | None:
    return next((part for part in infra.health.report().others if part.name == "redis"), None)


def is_in(infra: Infrastructure, *states: str) -> bool:
    found = redis_of(infra)
    return found is not None and found.state in states


async def outcome(infra: Infrastructure, text: str = "x") -> str:
    return (await infra.mcp_client.call_tool("lab_echo", {"text": text})).provenance.cache


async def test_without_a_redis_configured_none_is_watched_and_answers_are_kept_in_memory() -> None:
    async with Infrastructure.from_config(configuration()) as infra:
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
        assert redis_of(infra) is None
        assert infra.sharing.tier is None
        assert "trunkline_redis" not in PrometheusExporter(infra.metrics).render()


async def test_a_redis_that_is_disabled_is_none() -> None:
    settings = configuration(redis={"enabled": False, "url": "redis://127.0.0.1:1"})
    async with Infrastructure.from_config(settings) as infra:
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
        assert redis_of(infra) is None


async def test_a_redis_that_refuses_degrades_health_and_nothing_else() -> None:
    record = Record()
    settings = configuration(redis={"url": f"redis://:hunter2@127.0.0.1:{free_port()}/0"})
    async with Infrastructure.from_config(settings, observers=[record]) as infra:
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
        await eventually(lambda: is_in(infra, "degraded", "down"))
        report = infra.health.report()
        assert report.state == "degraded"
        assert report.is_ready
        (reason,) = report.reasons
        assert "it cannot be reached" in reason
        await record.until(SharedCacheLost)
        assert "hunter2" not in f"{reason} {record.events!r} {infra!r} {infra.sharing!r} {infra.cache!r}"


async def test_entering_does_not_wait_for_a_redis_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        port = silent.getsockname()[1]
        infra = Infrastructure.from_config(configuration(redis={"url": f"redis://127.0.0.1:{port}"}))
        alone = Infrastructure.from_config(configuration())
        times = []
        for each in (alone, infra):
            started = anyio.current_time()
            async with each:
                times.append(anyio.current_time() - started)
                assert await outcome(each) == "miss"
        assert times[1] < times[0] + 2.0


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_another_event_loop_than_asyncio_nothing_is_shared_and_health_says_so() -> None:
    async with Infrastructure.from_config(configuration(redis={"url": "redis://127.0.0.1:1"})) as infra:
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
        await eventually(lambda: is_in(infra, "degraded", "down"))
        found = redis_of(infra)
        assert found is not None
        assert "it needs asyncio" in found.reason


async def test_without_the_package_health_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trunkline.cache.redis_link", None)
    async with Infrastructure.from_config(configuration(redis={"url": "redis://127.0.0.1:1"})) as infra:
        await eventually(lambda: is_in(infra, "degraded", "down"))
        found = redis_of(infra)
        assert found is not None
        assert "pip install 'trunkline[redis]'" in found.reason
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]


async def test_a_redis_that_goes_and_comes_is_told_at_once_and_counted() -> None:
    record = Record()
    async with redis_server() as redis:
        settings = configuration(redis={"url": redis.url, "deadline": 5.0})
        async with Infrastructure.from_config(settings, observers=[record]) as infra:
            await eventually(lambda: is_in(infra, "healthy"))
            assert await outcome(infra) == "miss"
            redis.kill()
            assert await outcome(infra, "y") == "miss"
            await record.until(SharedCacheLost)
            assert is_in(infra, "degraded", "down")
            text = PrometheusExporter(infra.metrics).render()
            assert "trunkline_redis_up 0" in text
            assert 'trunkline_redis_faults_total{kind="' in text
            await redis.start()
            await record.until(SharedCacheFound, count=2)
            assert is_in(infra, "healthy")
            assert "trunkline_redis_up 1" in PrometheusExporter(infra.metrics).render()


async def test_policies_and_the_size_change_at_once_and_what_takes_a_restart_is_said() -> None:
    record = Record()
    async with Infrastructure.from_config(configuration(namespace="old"), observers=[record]) as infra:
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
        changed = configuration(namespace="new", max_bytes=500, redis={"url": "redis://:hunter2@127.0.0.1:1"})
        changed["trunkline"]["tools"] = {"lab_echo": {"cache": {"enabled": False}}}
        infra.reload(load(changed))

        assert await outcome(infra) == "bypass"
        stats = infra.cache.stats()
        assert (stats.max_bytes, stats.entries) == (500, 0)
        assert (infra.settings.cache.namespace, infra.settings.cache.redis.url) == ("old", None)
        told = [notice for notice in infra.settings.notices if "restart" in notice]
        assert told == [
            "configuration: trunkline.cache.namespace has changed, which takes a restart",
            "configuration: trunkline.cache.redis.url has changed, which takes a restart",
        ]
        (event,) = record.of(ConfigReloaded)
        assert event.waiting == "trunkline.cache.namespace, trunkline.cache.redis.url"
        assert "hunter2" not in f"{event!r} {infra.settings!r} {infra.settings.notices}"

        infra.reload(load(configuration(namespace="old")))
        assert not any("restart" in notice for notice in infra.settings.notices)
        assert record.of(ConfigReloaded)[-1].waiting == ""
        assert [await outcome(infra), await outcome(infra)] == ["miss", "hit"]
