"""The description of what people look at: the view, its stream, and what stands behind them. A part of `openapi`."""

from __future__ import annotations

from typing import Any, Final

from trunkline.gateway.openapi_alerts import alert_schemas
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
)

__all__ = ["view_paths", "view_schemas"]

_RATE: Final[Schema] = {"type": "number", "minimum": 0, "description": "per second"}
_STREAM: Final = (
    "Server-sent events. The first has the type `view` and everything (`View`); those of type `patch` that follow, one "
    "a second, are JSON Merge Patches (RFC 7396), which make the present view of the one told before. A viewer that "
    "falls behind, or comes again, is told a whole `view`. Comments keep the connection alive."
)


def view_paths() -> dict[str, Any]:
    """The paths, by what stands after the gateway's address."""
    stream = {"description": _STREAM, "content": {"text/event-stream": {"schema": TEXT}}}
    full = answer("As many as there may be are watching, or nobody can be recognised", "Refusal")
    return {
        "/api/v1/view": get("What the dashboard shows", {"200": answer("At most a second old", "View")}),
        "/api/v1/events": get("What the dashboard shows, as it changes", {"200": stream, "503": full}),
        "/api/v1/details": get("The dashboard's second screen", {"200": answer("Last known, without I/O", "Details")}),
        "/api/v1/server": get(
            "One server's tools and worst calls", _named("ServerDetails"), name="as the configuration has it"
        ),
        "/api/v1/domain": get("One domain's operations and worst calls", _named("DomainDetails"), name="of the domain"),
    }


def _named(schema: str) -> dict[str, Any]:
    return {
        "200": answer("Of the last ten minutes", schema),
        "404": answer("Nothing has that name", "Refusal"),
        "422": answer("No name was given", "Refusal"),
    }


def view_schemas() -> dict[str, Any]:
    """Schemas by name. Of the view nothing is null: what is not known is left out."""
    durations = dict.fromkeys(("p50", "p95", "p99"), SECONDS)
    spark = list_of(_RATE) | {"description": "each ten seconds that are over, up to five minutes, oldest first"}
    numbers = optional(object_of(rate=_RATE, in_flight=COUNT), error_ratio=SHARE, **durations)
    row = {
        **numbers["properties"],
        "badness": {"type": "integer", "minimum": 0, "description": "the larger, the sooner it is to be looked at"},
        "spark": spark,
        "alert": {"type": "string", "enum": ["critical", "warning", "info"], "description": "the worst that fires"},
    }
    must = ["badness", "rate", "in_flight", "spark"]
    state = object_of(state=HEALTH, since=MOMENT, reason=TEXT)
    server = {
        **row,
        **state["properties"],
        "waiting": COUNT | {"description": "calls that wait for a connection"},
        "circuit": CIRCUIT,
        "era": {"type": "string", "description": "protocol version; empty before the first connection"},
        "tools": COUNT,
    }
    point = optional(object_of(rate=_RATE, errors=_RATE), **durations)
    minute = optional(object_of(requests=COUNT, rate=_RATE, in_flight=COUNT, unattributed=SHARE), error_ratio=SHARE)
    return {
        "Row": {"type": "object", "required": must, "properties": row},
        "ServerRow": {
            "type": "object",
            "required": [*must, "state", "since", "reason", "waiting", "circuit", "era", "tools"],
            "properties": server,
        },
        "View": optional(
            object_of(
                version=TEXT,
                at=MOMENT,
                started=MOMENT,
                overall=optional(object_of(state=HEALTH, sentence=TEXT, reasons=list_of(TEXT)), since=MOMENT),
                alerts=map_of(_alert()) | {"description": "what is pending, firing or recovering, by rule and subject"},
                totals=optional(minute, **durations)
                | {"description": "the last minute of all domains; `unattributed` is the share that no domain claimed"},
                circuits=object_of(closed=COUNT, half_open=COUNT, open=COUNT) | {"description": "servers by circuit"},
                cache=optional(
                    object_of(enabled=TRUTH, entries=COUNT, bytes=COUNT, max_bytes=COUNT), hit_ratio=SHARE, redis=HEALTH
                ),
                history=map_of(point)
                | {"description": "points of ten seconds, by when each began, in seconds since the epoch"},
                domains=map_of(ref("Row")) | {"description": "each domain's last minute"},
                servers=map_of(ref("ServerRow")) | {"description": "each server's last minute, attempt by attempt"},
                others=map_of(state)
                | {"description": "what is no MCP server: the shared cache, the configuration file, the pins"},
                config=object_of(source=TEXT, is_fallback=TRUTH, notices=list_of(TEXT)),
                loop_lag=SECONDS,
                ours=map_of(COUNT) | {"description": "what of our own is being lost, by kind; all 0 while all is well"},
            ),
            trends=list_of(TEXT) | {"description": "what is out of the ordinary, in words"},
        ),
        **_detail_schemas(),
    }


def _alert() -> Schema:
    """An `Alert` without nulls."""
    whole = alert_schemas()["Alert"]
    moments = ("fired", "ended")
    required = [name for name in whole["required"] if name not in moments]
    return whole | {"required": required, "properties": whole["properties"] | dict.fromkeys(moments, MOMENT)}


def _detail_schemas() -> dict[str, Any]:
    call = object_of(
        at=MOMENT,
        id=TEXT,
        tool=TEXT,
        domain=TEXT,
        server=TEXT,
        outcome={"type": "string", "description": "`ok`, `tool_error`, `cancelled` or the class of the error"},
        duration=SECONDS,
        attempts=COUNT,
        cache=TEXT,
        fallback=or_null(TEXT),
        may_have_run=TRUTH,
        trace_id=or_null(TEXT),
    )
    worst = {
        "failed": list_of(ref("RecentCall")) | {"description": "the latest, newest first"},
        "slow": list_of(ref("RecentCall")) | {"description": "of the last ten minutes, slowest first"},
    }
    tool = object_of(
        name=TEXT,
        description=TEXT,
        repeatable=TRUTH,
        fingerprint=TEXT,
        availability=ref("Availability"),
        mismatch=or_null(ref("Mismatch")),
        calls=COUNT,
    )
    entry = object_of(at=MOMENT, server=TEXT, tool=or_null(TEXT), what=TEXT, detail=TEXT)
    place = optional(
        object_of(name=TEXT, replica=TEXT, state=HEALTH, since=MOMENT, reason=TEXT),
        circuit=CIRCUIT,
        era=TEXT,
        connections=map_of(COUNT),
        probe=or_null(TRUTH) | {"description": "whether the last probe went well; null before the first"},
    )
    happening = object_of(
        at=MOMENT, tone={"type": "string", "enum": ["good", "bad", "plain"]}, about=TEXT, text=TEXT, times=COUNT
    )
    operation = object_of(name=TEXT, outcomes=map_of(COUNT))
    figures = dict.fromkeys(("p50", "p95", "p99"), SECONDS) | {"error_ratio": SHARE}
    return {
        "RecentCall": call,
        "ServerDetails": object_of(name=TEXT, places=list_of(TEXT), tools=list_of(optional(tool, **figures)), **worst),
        "DomainDetails": optional(object_of(name=TEXT, calls=COUNT, operations=list_of(operation), **worst), **figures),
        "Details": object_of(
            cache=ref("Cache"),
            registry=object_of(tools=COUNT, drift=list_of(entry), availability=list_of(entry), changes=list_of(entry)),
            matrix=list_of(place),
            events=list_of(happening),
            configuration={"type": "object", "description": "every value in force; credentials are left out"},
        ),
    }
