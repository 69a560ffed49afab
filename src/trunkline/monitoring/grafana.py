"""The dashboard that Grafana shows of all that is exported, as its JSON. Plain data, made when it is asked for.

Every query works on classic histograms and on native ones, whichever a Prometheus (2.40 or newer) has been given: the
one that finds nothing leaves the word to the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["grafana_dashboard"]

_TOOLS: Final = "gen_ai_execute_tool_duration_seconds"
_ATTEMPTS: Final = "mcp_client_operation_duration_seconds"
_SERVED: Final = "mcp_server_operation_duration_seconds"
_REQUESTS: Final = "trunkline_domain_request_duration_seconds"
_LAG: Final = "trunkline_event_loop_lag_seconds"
_WINDOW: Final = "[$__rate_interval]"
_FAILED: Final = 'outcome!~"ok|cancelled"'
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: Literal["reqps", "percentunit", "s", "short"]
    queries: tuple[tuple[str, str], ...]
    """(expression, legend) of each."""
    width: int = 8
    is_stat: bool = False
    """Whether it is one large number, not lines."""


def grafana_dashboard() -> dict[str, Any]:
    """Return the dashboard; import it in Grafana, or put it into a provisioned folder, and choose the data source."""
    return {
        "title": "Trunkline",
        "uid": "trunkline",
        "description": "Calls of MCP tools: how many, how fast, how many fail, by domain, server and tool.",
        "tags": ["mcp", "trunkline"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": []},
        "panels": list(_placed()),
    }


def _placed() -> Iterator[dict[str, Any]]:
    """Every panel with its number and its place: rows of panels, each row's below its title."""
    number = y = 0
    for title, panels in _rows():
        number += 1
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        y += 1
        x, height = 0, 4 if panels[0].is_stat else 8
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            number += 1
            yield _panel(panel, number, {"h": height, "w": panel.width, "x": x, "y": y})
            x += panel.width
        y += height


def _panel(panel: _Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    return {
        "id": number,
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _rows() -> tuple[tuple[str, tuple[_Panel, ...]], ...]:
    cached = f'sum(rate(trunkline_cache_requests_total{{result=~"hit|stale|coalesced"}}{_WINDOW}))'
    looked_up = f"sum(rate(trunkline_cache_requests_total{_WINDOW}))"
    now = (
        _Panel("Calls", "reqps", ((_rate(_TOOLS), "calls"),), 4, is_stat=True),
        _Panel("Failed", "percentunit", ((_share(_TOOLS, _FAILED), "failed"),), 4, is_stat=True),
        _Panel("95 % of calls take at most", "s", ((_quantile(0.95, _TOOLS), "p95"),), 4, is_stat=True),
        _Panel("In flight", "short", (("sum(trunkline_calls_inflight)", "calls"),), 4, is_stat=True),
        _Panel(
            "From the cache",
            "percentunit",
            ((f"({cached} or 0 * {looked_up}) / {looked_up}", "hits"),),
            4,
            is_stat=True,
        ),
        _Panel(
            "Circuits not closed",
            "short",
            (('sum(trunkline_circuit_state{state!="closed"})', "circuits"),),
            4,
            is_stat=True,
        ),
    )
    calls = (
        _Panel("Calls by outcome", "reqps", ((_rate(_TOOLS, "outcome"), "{{outcome}}"),)),
        _Panel("Duration of calls", "s", tuple((_quantile(q, _TOOLS), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99))),
        _Panel(
            "Slowest tools (p95)",
            "s",
            ((f"topk(10, {_quantile(0.95, _TOOLS, 'gen_ai_tool_name')})", "{{gen_ai_tool_name}}"),),
        ),
    )
    domains = (
        _Panel("Requests by domain", "reqps", ((_rate(_REQUESTS, "domain"), "{{domain}}"),)),
        _Panel("Failed by domain", "percentunit", ((_share(_REQUESTS, _FAILED, "domain"), "{{domain}}"),)),
        _Panel("Duration by domain (p95)", "s", ((_quantile(0.95, _REQUESTS, "domain"), "{{domain}}"),)),
    )
    servers = (
        _Panel("Attempts by server", "reqps", ((_rate(_ATTEMPTS, "mcp_server"), "{{mcp_server}}"),)),
        _Panel("Duration of attempts (p95)", "s", ((_quantile(0.95, _ATTEMPTS, "mcp_server"), "{{mcp_server}}"),)),
        _Panel(
            "Errors of attempts",
            "reqps",
            ((_rate(_ATTEMPTS, "mcp_server, error_type", 'error_type!=""'), "{{mcp_server}} {{error_type}}"),),
        ),
        _Panel(
            "Under way and waiting",
            "short",
            (
                ("sum by (mcp_server) (trunkline_attempts_inflight)", "{{mcp_server}} under way"),
                ("sum by (mcp_server) (trunkline_attempts_waiting)", "{{mcp_server}} waiting"),
            ),
        ),
        _Panel(
            "Made again",
            "reqps",
            (
                (_counted("trunkline_retries_total", "mcp_server"), "{{mcp_server}} retried"),
                (_counted("trunkline_hedges_total", "mcp_server"), "{{mcp_server}} hedged"),
                (_counted("trunkline_fallbacks_total", "fallback"), "fallback {{fallback}}"),
            ),
        ),
        _Panel(
            "Connections",
            "short",
            (
                ("sum by (mcp_server) (trunkline_connections)", "{{mcp_server}} open"),
                (_counted("trunkline_connections_lost_total", "mcp_server"), "{{mcp_server}} lost/s"),
                (_counted("trunkline_connect_failures_total", "mcp_server"), "{{mcp_server}} refused/s"),
            ),
        ),
        _Panel(
            "Circuits",
            "short",
            (
                (
                    "sum by (mcp_server, replica, state) (trunkline_circuit_state)",
                    "{{mcp_server}} {{replica}} {{state}}",
                ),
            ),
        ),
        _Panel(
            "Health", "short", (("min by (component, replica) (trunkline_health_status)", "{{component}} {{replica}}"),)
        ),
        _Panel(
            "Circuits that changed",
            "reqps",
            ((_counted("trunkline_circuit_transitions_total", "mcp_server, to"), "{{mcp_server}} {{to}}"),),
        ),
    )
    own = (
        _Panel("Requests to the gateway", "reqps", ((_rate(_SERVED, "mcp_method_name"), "{{mcp_method_name}}"),)),
        _Panel(
            "Duration in the gateway (p95)",
            "s",
            ((_quantile(0.95, _SERVED, "mcp_method_name"), "{{mcp_method_name}}"),),
        ),
        _Panel("Event loop's lag (p99)", "s", ((_quantile(0.99, _LAG), "p99"),)),
        _Panel("Cache", "reqps", ((_counted("trunkline_cache_requests_total", "result"), "{{result}}"),)),
        _Panel("Alerts", "short", (("sum by (state) (trunkline_alerts)", "{{state}}"),)),
        _Panel(
            "The metrics themselves",
            "short",
            (
                ("sum by (metric) (trunkline_telemetry_series)", "{{metric}} series"),
                (_counted("trunkline_series_overflow_total", "metric"), "{{metric}} overflow/s"),
            ),
        ),
    )
    return ("Now", now), ("Calls", calls), ("Domains", domains), ("Servers", servers), ("Gateway", own)


def _sum(by: str, inner: str) -> str:
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def _counted(name: str, by: str) -> str:
    return _sum(by, f"rate({name}{_WINDOW})")


def _rate(name: str, by: str = "", where: str = "") -> str:
    """How many a second, of a histogram."""
    chosen = f"{{{where}}}" if where else ""
    classic = _sum(by, f"rate({name}_count{chosen}{_WINDOW})")
    return f"({classic} or {_sum(by, f'histogram_count(rate({name}{chosen}{_WINDOW}))')})"


def _share(name: str, where: str, by: str = "") -> str:
    """What share of all `where` holds for; 0, not nothing, where it never did."""
    total = _rate(name, by)
    return f"({_rate(name, by, where)} or 0 * {total}) / {total}"


def _quantile(q: float, name: str, by: str = "") -> str:
    le = f"le, {by}" if by else "le"
    classic = f"histogram_quantile({q}, {_sum(le, f'rate({name}_bucket{_WINDOW})')})"
    return f"({classic} or histogram_quantile({q}, {_sum(by, f'rate({name}{_WINDOW})')}))"
