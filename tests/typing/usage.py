"""The public API as its users write it: never run, checked by mypy in strict mode, so that its types stay a promise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from mcp_types import TextContent

from trunkline import (
    CacheManager,
    CachePolicy,
    CacheSettings,
    ClientCredentials,
    EnhancedMCPClient,
    HttpEndpoint,
    Infrastructure,
    ListingCachePolicy,
    MetricsCollector,
    RedisPolicy,
    ServerPolicy,
    ServerSettings,
    ToolPolicy,
    ToolResult,
)


class AudioProcessor:
    """The seed's example, unchanged, with the method that the contract shows."""

    def __init__(self, mcp_client: EnhancedMCPClient, metrics: MetricsCollector):
        self.mcp_client = mcp_client
        self.metrics = metrics

    async def transcribe(self, path: str) -> str | None:
        async with self.metrics.track("speech", "transcribe"):
            result = await self.mcp_client.call_tool("stt_transcribe_file", {"path": path}, timeout=20)
        block = result.content[0]
        return None if result.provenance.degraded or not isinstance(block, TextContent) else block.text


async def an_application(source: Path | str | Mapping[str, Any]) -> str | None:
    async with Infrastructure.from_config(source) as infra:
        assert_type(infra, Infrastructure)
        assert_type(infra.mcp_client, EnhancedMCPClient)
        assert_type(infra.metrics, MetricsCollector)
        assert_type(infra.cache, CacheManager)
        return await AudioProcessor(infra.mcp_client, infra.metrics).transcribe("clip.wav")


async def a_call_with_every_argument(client: EnhancedMCPClient) -> ToolResult:
    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        assert total is None or progress <= total, message

    result = await client.call_tool(
        "search_web",
        {"query": "trunk lines"},
        5.0,
        progressed,
        meta={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        timeout=20.0,
        domain="chat",
        cache="refresh",
    )
    assert_type(result, ToolResult)
    assert_type(result.provenance.server, str)
    assert_type(result.provenance.replica, str | None)
    assert_type(result.provenance.attempts, int)
    assert_type(result.provenance.fallback, str | None)
    assert_type(result.provenance.degraded, bool)
    assert_type(result.provenance.duration, float)
    return await client.for_domain("speech").for_principal("ada").call_tool("time_get_current_time")


def a_cache_by_hand() -> EnhancedMCPClient:
    cache = CacheManager(CacheSettings(max_bytes=1_000_000, partition="us", redis=RedisPolicy()))
    cache.invalidate(tool="search_web", arguments={"query": "trunk lines"})
    cache.invalidate(server="search", principal="ada")
    cache.invalidate(tag="news")
    cache.clear()
    stats = cache.stats()
    assert_type(stats.total.hits, int)
    assert_type(stats.total.hit_ratio, float | None)
    assert_type(stats.bypassed, Mapping[str, int])
    kept = CachePolicy(ttl=300.0, stale=300.0, stale_if_error=3600.0, tags=("news",))
    policy = ServerPolicy(listings=ListingCachePolicy(min_ttl=10.0))
    auth = ClientCredentials("trunkline", "a-secret", scopes=("search:read",))
    settings = ServerSettings("search", HttpEndpoint("https://search.internal/mcp", auth=auth), policy)
    return EnhancedMCPClient([settings], tools={"search_web": ToolPolicy(cache=kept)}, cache=cache)


def a_collector_alone() -> float | None:
    metrics = MetricsCollector()
    metrics.record("billing", "invoice", duration=0.012, outcome="ok")
    with metrics.track("billing", "reminder"):
        pass

    @metrics.track("billing", "total")
    def total(amounts: list[int]) -> int:
        return sum(amounts)

    @metrics.track("billing", "fetch")
    async def fetch(customer: str) -> bytes:
        return customer.encode()

    assert_type(total([1, 2]), int)
    domain = metrics.domain("billing")
    assert_type(domain.requests, int)
    assert_type(domain.error_ratio, float)
    return domain.p95
