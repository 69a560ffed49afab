"""The description of the gateway's JSON endpoints, in OpenAPI 3.1. Plain data, made when it is asked for."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

__all__ = ["document"]

_Schema = dict[str, Any]

_TEXT: Final[_Schema] = {"type": "string"}
_COUNT: Final[_Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[_Schema] = {"type": "number", "description": "seconds"}
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
            "/metrics": _get("Metrics for Prometheus; OpenMetrics where Accept asks for it", {"200": _metrics()}),
        },
        "components": {"schemas": _schemas()},
    }


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    refusals = {
        "403": _answer("The Origin header names another site", "Refusal"),
        "421": _answer("The Host header names another host", "Refusal"),
    }
    return {"get": {"summary": summary, "responses": responses | refusals}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _metrics() -> dict[str, Any]:
    kinds = ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0")
    return {"description": "All metrics", "content": {kind: {"schema": _TEXT} for kind in kinds}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: _Schema) -> _Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list_of(item: _Schema) -> _Schema:
    return {"type": "array", "items": item}


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
        "Refusal": _object(error=_object(code=_TEXT, message=_TEXT)),
    }
