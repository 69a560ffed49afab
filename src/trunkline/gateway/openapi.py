"""The description of the gateway's JSON endpoints, in OpenAPI 3.1. Plain data, made when it is asked for."""

from __future__ import annotations

from typing import Any

from trunkline.gateway.openapi_alerts import alert_paths, alert_schemas
from trunkline.gateway.openapi_view import view_paths, view_schemas
from trunkline.gateway.schemas import (
    CIRCUIT,
    COUNT,
    HEALTH,
    MOMENT,
    SECONDS,
    SHARE,
    TEXT,
    TRUTH,
    Schema,
    answer,
    get,
    list_of,
    map_of,
    object_of,
    optional,
    or_null,
    ref,
    refusals,
)
from trunkline.monitoring.negotiation import CONTENT_TYPES
from trunkline.version import VERSION

__all__ = ["document"]


def document(host: str, port: int) -> dict[str, Any]:
    """Return the OpenAPI document of a gateway that listens on `host` and `port`."""
    authority = f"[{host}]" if ":" in host else host
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline gateway",
            "version": VERSION,
            "description": "How the gateway and the servers behind it are. MCP itself is spoken at /mcp.",
        },
        "servers": [{"url": f"http://{authority}:{port}"}],
        "paths": {
            "/health/live": get("Whether the gateway runs", {"200": answer("It runs", "Live")}, right=""),
            "/health/ready": get(
                "Whether calls can be served",
                {
                    "200": answer("Some server works", "Readiness"),
                    "503": answer("None works, or the gateway is stopping", "Readiness"),
                },
                right="",
            ),
            "/api/v1/status": get("How everything is", {"200": answer("Last known, without I/O", "Status")}),
            **view_paths(),
            **alert_paths(),
            "/api/v1/tools": get("Every known tool", {"200": answer("In the order of listings", "Tools")}),
            "/api/v1/cache": get("How the cache does", {"200": answer("Since the gateway was started", "Cache")}),
            "/api/v1/cache/invalidate": _post(
                "Forget what fits all that is given, here and in every process that shares the Redis",
                "Invalidation",
                {
                    "200": answer("It is served to nobody any more", "Invalidated"),
                    "404": answer("No tool, server or tag has that name; nearest names are told", "Refusal"),
                },
            ),
            "/api/v1/cache/clear": _post(
                "Forget everything, here and in every process that shares the Redis and the namespace",
                "Nothing",
                {"200": answer("Nothing of it is served to anybody any more", "Cleared")},
            ),
            "/metrics": get("Metrics for Prometheus, in the format that Accept asks for", {"200": _metrics()}),
        },
        "components": {"schemas": _schemas()},
    }


def _post(summary: str, body: str, responses: dict[str, Any]) -> dict[str, Any]:
    misfits = {
        "400": answer("The body is not JSON", "Refusal"),
        "408": answer("The body does not come in time", "Refusal"),
        "413": answer("The body is larger than 64 KiB", "Refusal"),
        "415": answer("The content type is not application/json, which no page of another site may send", "Refusal"),
        "422": answer("The body is not as described; its first misfit is told", "Refusal"),
    }
    content = {"application/json": {"schema": ref(body)}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": refusals("manage") | responses | misfits,
        }
    }


def _metrics() -> dict[str, Any]:
    return {"description": "All metrics", "content": {kind: {"schema": TEXT} for kind in CONTENT_TYPES.values()}}


def _schemas() -> dict[str, Any]:
    dependency = object_of(name=TEXT, state=HEALTH, since=MOMENT, reason=TEXT)
    availability = object_of(
        state={"type": "string", "enum": ["available", "degraded", "unavailable", "unknown"]},
        since=MOMENT,
        reason=TEXT,
    )
    running: dict[str, Any] = {
        "era": {"type": "string", "description": "protocol version; empty before the first connection"},
        "circuit": CIRCUIT,
        "connections": object_of(ready=COUNT, opening=COUNT, in_flight=COUNT, waiting=COUNT),
    }
    own = object_of(
        tools=COUNT,
        refused=COUNT | {"description": "tools among them that are not as they were accepted"},
        availability=or_null(ref("Availability")),
        replicas=list_of({"allOf": [ref("Dependency"), object_of(**running)]}),
        **running,
    )
    return {
        "Live": object_of(status={"type": "string", "const": "ok"}),
        "Dependency": dependency,
        "Availability": availability,
        "Mismatch": object_of(
            parts=list_of(TEXT) | {"description": "what has changed; empty for a tool that was never accepted"},
            is_refused=TRUTH,
            reason=TEXT,
            command=TEXT | {"description": "what accepts it"},
            since=MOMENT,
        )
        | {"description": "how a tool differs from what was accepted"},
        "Readiness": optional(
            object_of(status={"type": "string", "enum": ["ready", "not_ready"]}),
            reasons=list_of(TEXT),
            dependencies=list_of(ref("Dependency")),
            loop_lag=SECONDS,
        )
        | {"description": "all but the status is told to those only who may watch"},
        "Server": {"allOf": [ref("Dependency"), own]},
        "Status": object_of(
            overall=object_of(state=HEALTH, since=or_null(MOMENT), sentence=TEXT, reasons=list_of(TEXT)),
            version=TEXT,
            at=MOMENT,
            uptime=SECONDS,
            config=object_of(source=TEXT, is_fallback={"type": "boolean"}, notices=list_of(TEXT)),
            loop_lag=SECONDS,
            servers=list_of(ref("Server")),
            others=list_of(ref("Dependency")),
            cache=object_of(
                enabled=TRUTH,
                hit_ratio=or_null(SHARE),
                entries=COUNT,
                bytes=COUNT,
                max_bytes=COUNT,
                redis=or_null(HEALTH),
            ),
            metrics={"type": "object", "description": "as MetricsCollector.dashboard() returns it"},
        ),
        "Tools": object_of(
            tools=list_of(
                object_of(
                    name=TEXT,
                    server=TEXT,
                    availability=ref("Availability"),
                    repeatable={"type": "boolean", "description": "whether running it twice is known to be harmless"},
                    fingerprint={"type": "string", "description": "SHA-256 of the definition, in hex"},
                    mismatch=or_null(ref("Mismatch")),
                    definition={"type": "object", "description": "as tools/list shows it"},
                )
            )
        ),
        **view_schemas(),
        **alert_schemas(),
        **_cache_schemas(),
        "Refusal": object_of(error=object_of(code=TEXT, message=TEXT)),
    }


def _cache_schemas() -> dict[str, Any]:
    counts = object_of(hits=COUNT, stale=COUNT, coalesced=COUNT, misses=COUNT, kept=COUNT, hit_ratio=or_null(SHARE))
    stats = object_of(
        total=ref("CacheCounts"),
        tools=map_of(ref("CacheCounts")),
        domains=map_of(ref("CacheCounts")),
        bypassed=map_of(COUNT),
        refused=map_of(COUNT),
        faults=COUNT,
        refreshes=COUNT,
        invalidations=COUNT,
        under_way=COUNT,
        entries=COUNT,
        bytes=COUNT,
        max_bytes=COUNT,
        evictions=COUNT,
    )
    tier = object_of(statistics={"type": ["object", "null"], "description": "what went to Redis and came of it"})
    what = {name: {"type": "string", "minLength": 1} for name in ("tool", "server", "tag", "principal")}
    asked: Schema = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {**what, "arguments": {"type": "object", "description": "goes with a tool"}},
        "dependentRequired": {"arguments": ["tool"]},
    }
    return {
        "CacheCounts": counts,
        "Cache": object_of(
            enabled=TRUTH,
            namespace=TEXT,
            has_partition={"type": "boolean", "description": "whether calls that name no principal may be shared"},
            stats=stats,
            redis=or_null({"allOf": [object_of(state=HEALTH, since=MOMENT, reason=TEXT), tier]}),
        ),
        "Invalidation": asked,
        "Invalidated": object_of(invalidated={"type": "object", "description": "what was asked for"}),
        "Nothing": {"type": "object", "additionalProperties": False},
        "Cleared": object_of(cleared={"type": "boolean", "const": True}),
    }
