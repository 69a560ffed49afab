"""The description of the gateway's JSON endpoints, in OpenAPI 3.1. Plain data, made when it is asked for."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from trunkline.monitoring.negotiation import CONTENT_TYPES

__all__ = ["document"]

_Schema = dict[str, Any]

_TEXT: Final[_Schema] = {"type": "string"}
_COUNT: Final[_Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[_Schema] = {"type": "number", "description": "seconds"}
_SHARE: Final[_Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_TRUTH: Final[_Schema] = {"type": "boolean"}
_MOMENT: Final[_Schema] = {"type": "number", "description": "seconds since the epoch"}
_HEALTH: Final[_Schema] = {"type": "string", "enum": ["healthy", "degraded", "down", "unknown"]}


def document(host: str, port: int) -> dict[str, Any]:
    """Return the OpenAPI document of a gateway that listens on `host` and `port`."""
    authority = f"[{host}]" if ":" in host else host
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline gateway",
            "version": version("trunkline"),
            "description": "How the gateway and the servers behind it are. MCP itself is spoken at /mcp.",
        },
        "servers": [{"url": f"http://{authority}:{port}"}],
        "paths": {
            "/health/live": _get("Whether the gateway runs", {"200": _answer("It runs", "Live")}),
            "/health/ready": _get(
                "Whether calls can be served",
                {"200": _answer("Some server works", "Readiness"), "503": _answer("None works", "Readiness")},
            ),
            "/api/v1/status": _get("How everything is", {"200": _answer("Last known, without I/O", "Status")}),
            "/api/v1/tools": _get("Every known tool", {"200": _answer("In the order of listings", "Tools")}),
            "/api/v1/cache": _get("How the cache does", {"200": _answer("Since the gateway was started", "Cache")}),
            "/api/v1/cache/invalidate": _post(
                "Forget what fits all that is given, here and in every process that shares the Redis",
                "Invalidation",
                {
                    "200": _answer("It is served to nobody any more", "Invalidated"),
                    "404": _answer("No tool, server or tag has that name; nearest names are told", "Refusal"),
                },
            ),
            "/api/v1/cache/clear": _post(
                "Forget everything, here and in every process that shares the Redis and the namespace",
                "Nothing",
                {"200": _answer("Nothing of it is served to anybody any more", "Cleared")},
            ),
            "/metrics": _get("Metrics for Prometheus, in the format that Accept asks for", {"200": _metrics()}),
        },
        "components": {"schemas": _schemas()},
    }


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": responses | _refusals()}}


def _post(summary: str, body: str, responses: dict[str, Any]) -> dict[str, Any]:
    misfits = {
        "400": _answer("The body is not JSON", "Refusal"),
        "413": _answer("The body is larger than 64 KiB", "Refusal"),
        "415": _answer("The content type is not application/json, which no page of another site may send", "Refusal"),
        "422": _answer("The body is not as described; its first misfit is told", "Refusal"),
    }
    content = {"application/json": {"schema": _ref(body)}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": responses | misfits | _refusals(),
        }
    }


def _refusals() -> dict[str, Any]:
    return {
        "403": _answer("The Origin header names another site", "Refusal"),
        "421": _answer("The Host header names another host", "Refusal"),
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _metrics() -> dict[str, Any]:
    return {"description": "All metrics", "content": {kind: {"schema": _TEXT} for kind in CONTENT_TYPES.values()}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: _Schema) -> _Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list_of(item: _Schema) -> _Schema:
    return {"type": "array", "items": item}


def _map_of(item: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": item}


def _or_null(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _schemas() -> dict[str, Any]:
    dependency = _object(name=_TEXT, state=_HEALTH, since=_MOMENT, reason=_TEXT)
    availability = _object(
        state={"type": "string", "enum": ["available", "degraded", "unavailable", "unknown"]},
        since=_MOMENT,
        reason=_TEXT,
    )
    running: dict[str, Any] = {
        "era": {"type": "string", "description": "protocol version; empty before the first connection"},
        "circuit": {"type": "string", "enum": ["closed", "open", "half_open"]},
        "connections": _object(ready=_COUNT, opening=_COUNT, in_flight=_COUNT, waiting=_COUNT),
    }
    own = _object(
        tools=_COUNT,
        availability=_or_null(_ref("Availability")),
        replicas=_list_of({"allOf": [_ref("Dependency"), _object(**running)]}),
        **running,
    )
    return {
        "Live": _object(status={"type": "string", "const": "ok"}),
        "Dependency": dependency,
        "Availability": availability,
        "Readiness": _object(
            status={"type": "string", "enum": ["ready", "not_ready"]},
            reasons=_list_of(_TEXT),
            dependencies=_list_of(_ref("Dependency")),
            loop_lag=_SECONDS,
        ),
        "Server": {"allOf": [_ref("Dependency"), own]},
        "Status": _object(
            overall=_object(state=_HEALTH, since=_or_null(_MOMENT), sentence=_TEXT, reasons=_list_of(_TEXT)),
            version=_TEXT,
            at=_MOMENT,
            uptime=_SECONDS,
            config=_object(source=_TEXT, is_fallback={"type": "boolean"}, notices=_list_of(_TEXT)),
            loop_lag=_SECONDS,
            servers=_list_of(_ref("Server")),
            others=_list_of(_ref("Dependency")),
            cache=_object(
                enabled=_TRUTH,
                hit_ratio=_or_null(_SHARE),
                entries=_COUNT,
                bytes=_COUNT,
                max_bytes=_COUNT,
                redis=_or_null(_HEALTH),
            ),
            metrics={"type": "object", "description": "as MetricsCollector.dashboard() returns it"},
        ),
        "Tools": _object(
            tools=_list_of(
                _object(
                    name=_TEXT,
                    server=_TEXT,
                    availability=_ref("Availability"),
                    repeatable={"type": "boolean", "description": "whether running it twice is known to be harmless"},
                    fingerprint={"type": "string", "description": "SHA-256 of the definition, in hex"},
                    definition={"type": "object", "description": "as tools/list shows it"},
                )
            )
        ),
        **_cache_schemas(),
        "Refusal": _object(error=_object(code=_TEXT, message=_TEXT)),
    }


def _cache_schemas() -> dict[str, Any]:
    counts = _object(
        hits=_COUNT, stale=_COUNT, coalesced=_COUNT, misses=_COUNT, kept=_COUNT, hit_ratio=_or_null(_SHARE)
    )
    stats = _object(
        total=_ref("CacheCounts"),
        tools=_map_of(_ref("CacheCounts")),
        domains=_map_of(_ref("CacheCounts")),
        bypassed=_map_of(_COUNT),
        refused=_map_of(_COUNT),
        faults=_COUNT,
        refreshes=_COUNT,
        invalidations=_COUNT,
        under_way=_COUNT,
        entries=_COUNT,
        bytes=_COUNT,
        max_bytes=_COUNT,
        evictions=_COUNT,
    )
    tier = _object(statistics={"type": ["object", "null"], "description": "what went to Redis and came of it"})
    what = {name: {"type": "string", "minLength": 1} for name in ("tool", "server", "tag", "principal")}
    asked: _Schema = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {**what, "arguments": {"type": "object", "description": "goes with a tool"}},
        "dependentRequired": {"arguments": ["tool"]},
    }
    return {
        "CacheCounts": counts,
        "Cache": _object(
            enabled=_TRUTH,
            namespace=_TEXT,
            has_partition={"type": "boolean", "description": "whether calls that name no principal may be shared"},
            stats=stats,
            redis=_or_null({"allOf": [_object(state=_HEALTH, since=_MOMENT, reason=_TEXT), tier]}),
        ),
        "Invalidation": asked,
        "Invalidated": _object(invalidated={"type": "object", "description": "what was asked for"}),
        "Nothing": {"type": "object", "additionalProperties": False},
        "Cleared": _object(cleared={"type": "boolean", "const": True}),
    }
