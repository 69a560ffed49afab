"""The cache over the gateway's JSON API: how it does, and what is to be forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trunkline.gateway.cache_requests import RefusedRequest, read_body, read_invalidation
from trunkline.health.fold import SHARED_CACHE
from trunkline.infrastructure import Infrastructure

__all__ = ["cache_report", "cache_routes", "cache_summary"]


def cache_routes(infra: Infrastructure) -> list[Route]:
    """The routes below /api/v1/cache; `openapi` describes them."""

    async def report(_request: Request) -> Response:
        return JSONResponse(cache_report(infra))

    async def invalidate(request: Request) -> Response:
        asked = asdict(read_invalidation(await read_body(request), infra))
        infra.cache.invalidate(**asked)
        return JSONResponse({"invalidated": {key: value for key, value in asked.items() if value is not None}})

    async def clear(request: Request) -> Response:
        if await read_body(request) != {}:
            raise RefusedRequest(422, "invalid_request", "expected an empty object: everything is forgotten")
        infra.cache.clear()
        return JSONResponse({"cleared": True})

    return [
        Route("/api/v1/cache", report),
        Route("/api/v1/cache/invalidate", _served(invalidate), methods=["POST"]),
        Route("/api/v1/cache/clear", _served(clear), methods=["POST"]),
    ]


def _served(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedRequest as error:
            return error.answer()

    return serve


def cache_report(infra: Infrastructure) -> dict[str, Any]:
    """Return everything known of the cache: settings without credentials, counts, and its shared tier or None."""
    settings = infra.settings.cache
    return {
        "enabled": settings.enabled,
        "namespace": settings.namespace,
        "has_partition": settings.partition is not None,
        "stats": asdict(infra.cache.stats()),
        "redis": _shared_tier(infra),
    }


def cache_summary(infra: Infrastructure) -> dict[str, Any]:
    """Return what the dashboard has room for."""
    stats = infra.cache.stats()
    shared = _shared_tier(infra)
    return {
        "enabled": infra.settings.cache.enabled,
        "hit_ratio": stats.total.hit_ratio,
        "entries": stats.entries,
        "bytes": stats.bytes,
        "max_bytes": stats.max_bytes,
        "redis": None if shared is None else shared["state"],
    }


def _shared_tier(infra: Infrastructure) -> dict[str, Any] | None:
    known = next((part for part in infra.health.report().others if part.name == SHARED_CACHE), None)
    if known is None:
        return None
    tier = infra.sharing.tier
    told = None if tier is None else asdict(tier.statistics())
    return {"state": known.state, "since": known.since, "reason": known.reason, "statistics": told}
