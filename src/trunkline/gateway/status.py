"""How everything is, as plain JSON-able data: for the dashboard, for probes, and for programs. Reads; does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import anyio

from trunkline.alerts import Alert
from trunkline.gateway.caching import cache_summary
from trunkline.health.fold import SHARED_CACHE
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.health.status import HealthState
from trunkline.infrastructure import Infrastructure
from trunkline.registry.tool import Tool
from trunkline.replica import Replica
from trunkline.telemetry import COLLECTOR
from trunkline.version import VERSION

__all__ = ["mismatch", "overall", "readiness", "stack_facts", "status", "tools"]

_CIRCUITS = ("closed", "half_open", "open")
"""From the best to the worst."""
_TROUBLE = MappingProxyType(
    {
        "configuration": "The configuration file is invalid.",
        "pins": "The pins need a look.",
        SHARED_CACHE: "The shared cache is away; answers are kept here alone.",
        COLLECTOR: "The telemetry collector is away; nothing is lost but telemetry.",
    }
)
"""What being in trouble means for what is no server."""


def overall(report: HealthReport, tools: int, alerts: Iterable[Alert] = ()) -> dict[str, Any]:
    """Return `state`, `since` (seconds since the epoch, None without servers), `sentence` and `reasons`, worst first.

    `since` is when the worst state present began, or, with all well, when the last of them came to be so. An alert that
    fires is trouble where all is well otherwise.
    """
    parts = [*report.servers, *report.others]
    order = ("down", "degraded", "unknown", "healthy")
    troubled = sorted((part for part in parts if part.state != "healthy"), key=lambda part: order.index(part.state))
    worst = [part for part in troubled if part.state == troubled[0].state] if troubled else []
    firing = [alert for alert in alerts if alert.state == "firing" and not alert.inhibited_by]
    is_well = report.state == "healthy"
    moments = [part.since for part in worst] or [part.since for part in parts]
    if is_well and firing:
        moments = [alert.since for alert in firing]
    told = [] if not firing else ["One alert is firing." if len(firing) == 1 else f"{len(firing)} alerts are firing."]
    return {
        "state": "degraded" if is_well and firing else report.state,
        "since": (min(moments) if troubled or firing else max(moments)) if moments else None,
        "sentence": " ".join([_sentence(report, tools), *told]),
        "reasons": [
            *(f"{part.name}: {part.reason or part.state}" for part in troubled),
            *(alert.summary for alert in firing),
        ],
    }


def _sentence(report: HealthReport, tools: int) -> str:
    servers = report.servers
    if not servers:
        return "No server is configured."
    count = Counter(server.state for server in servers)
    total = "The server" if len(servers) == 1 else f"All {len(servers)} servers"
    if count["healthy"] == len(servers):
        verb, noun = ("works" if len(servers) == 1 else "work"), "tool" if tools == 1 else "tools"
        said = f"{total} {verb}; {tools} {noun} can be called."
    elif count["unknown"] == len(servers):
        said = f"{total} {'is' if len(servers) == 1 else 'are'} being connected."
    elif count["down"] == len(servers):
        said = f"{total} {'is' if len(servers) == 1 else 'are'} down."
    else:
        words: dict[HealthState, str] = {"down": "down", "degraded": "in trouble", "unknown": "not connected yet"}
        parts = [
            f"{count[state]} {'is' if count[state] == 1 else 'are'} {word}"
            for state, word in words.items()
            if count[state]
        ]
        said = f"Of {len(servers)} servers, {' and '.join(parts)}." if len(servers) > 1 else f"{total} {parts[0][2:]}."
    troubled = [other for other in report.others if other.state in ("degraded", "down")]
    told = [_TROUBLE.get(other.name, f"The {other.name} is {other.state}.") for other in troubled]
    return " ".join([said, *told])


def readiness(infra: Infrastructure, *, is_leaving: bool = False) -> tuple[bool, dict[str, Any]]:
    """Return whether calls can be served, and `status`, `reasons`, `dependencies` and `loop_lag`; see `openapi`.

    A gateway that `is_leaving` is not ready, however well its servers are.
    """
    report = infra.health.report()
    is_ready = report.is_ready and not is_leaving
    return is_ready, {
        "status": "ready" if is_ready else "not_ready",
        "reasons": [*(["the gateway is stopping"] if is_leaving else []), *report.reasons],
        "dependencies": [_dependency(part) for part in (*report.servers, *report.others)],
        "loop_lag": report.loop_lag,
    }


def status(infra: Infrastructure) -> dict[str, Any]:
    """Return everything `/api/v1/status` tells; `openapi` describes it. Times in seconds, moments since the epoch."""
    report = infra.health.report()
    shown = infra.registry.tools()
    callable_now = sum(infra.registry.is_available(tool.name) for tool in shown)
    settings = infra.settings
    dashboard = infra.metrics.dashboard()
    return {
        "overall": overall(report, callable_now, infra.alerts.active()),
        "version": VERSION,
        "at": dashboard["at"],
        "uptime": dashboard["uptime"],
        "config": {
            "source": settings.source,
            "is_fallback": settings.is_fallback,
            "notices": list(settings.notices),
        },
        "loop_lag": report.loop_lag,
        "servers": [_server(infra, part, shown) for part in report.servers],
        "others": [_dependency(part) for part in report.others],
        "cache": cache_summary(infra),
        "metrics": dashboard,
    }


def tools(infra: Infrastructure) -> dict[str, Any]:
    """Return every known tool: name, server, availability, whether it may run twice, and its definition."""
    return {
        "tools": [
            {
                "name": tool.name,
                "server": tool.server,
                "availability": asdict(infra.registry.availability(tool.name)),
                "repeatable": tool.repeatable,
                "fingerprint": tool.fingerprint,
                "mismatch": mismatch(infra, tool),
                "definition": tool.shown.model_dump(mode="json", by_alias=True, exclude_none=True),
            }
            for tool in infra.registry.tools()
        ]
    }


def _dependency(part: DependencyHealth) -> dict[str, Any]:
    return {"name": part.name, "state": part.state, "since": part.since, "reason": part.reason}


def _server(infra: Infrastructure, part: DependencyHealth, shown: tuple[Tool, ...]) -> dict[str, Any]:
    known = infra.registry.availability_of(part.name)
    count = {
        "tools": sum(tool.server == part.name for tool in shown),
        "refused": infra.registry.acceptance.refused[part.name],
    }
    facts = stack_facts(infra, part.name)
    replicas = [_dependency(health) | told for health, told in zip(part.replicas, facts["replicas"], strict=False)]
    availability = None if known is None or not count["tools"] else asdict(known)
    return _dependency(part) | count | {"availability": availability, **facts, "replicas": replicas}


def stack_facts(infra: Infrastructure, server: str) -> dict[str, Any]:
    """Return `era`, `circuit` and `connections` of a server, and the same of each of its `replicas`."""
    told: dict[str, Any] = {
        "era": "",
        "circuit": "closed",
        "connections": {"ready": 0, "opening": 0, "in_flight": 0, "waiting": 0},
        "replicas": [],
    }
    stack = infra.mcp_client.fleet.stacks.get(server)
    if stack is not None:
        replicas = told["replicas"] = [_replica(replica) for replica in stack.replicas]
        told["era"] = next((replica["era"] for replica in replicas if replica["era"]), "")
        # The best of them: while one circuit is closed, calls get through.
        told["circuit"] = min((replica["circuit"] for replica in replicas), key=_CIRCUITS.index)
        told["connections"] = {
            count: sum(replica["connections"][count] for replica in replicas) for count in told["connections"]
        }
    return told


def _replica(replica: Replica) -> dict[str, Any]:
    pool = replica.pool.statistics()
    return {
        "era": replica.pool.era,
        "circuit": replica.circuit.state_at(anyio.current_time()),
        "connections": {
            "ready": pool.ready,
            "opening": pool.opening,
            "in_flight": pool.in_flight,
            "waiting": pool.waiting,
        },
    }


def mismatch(infra: Infrastructure, tool: Tool) -> dict[str, Any] | None:
    """Return how a tool differs from what was accepted; None where it does not."""
    found = infra.registry.acceptance.of(tool)
    return None if found is None else asdict(found) | {"parts": list(found.parts)}
