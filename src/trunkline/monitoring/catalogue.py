"""The exported names in one table: standard ones are OpenTelemetry's, ours begin with `trunkline_`.

The conventions (`open-telemetry/semantic-conventions-genai`) are still in development; when a name moves, it does here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from trunkline.monitoring.buckets import FAST_BOUNDS, MCP_BOUNDS, TOOL_BOUNDS
from trunkline.monitoring.series import Series
from trunkline.monitoring.store import MetricStore

__all__ = ["CODE_LABEL", "COUNTERS", "HISTOGRAMS", "HistogramSpec"]

CODE_LABEL: Final = "rpc_response_status_code"
"""The JSON-RPC code of an answer that was an error."""


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """One exported histogram: which series it shows, and how their labels are called outside."""

    name: str
    help: str
    series: Callable[[MetricStore], Iterable[Series]]
    labels: tuple[str, ...]
    """Names in the order of the series' labels; an empty one is left out."""
    bounds: tuple[float, ...]
    """Seconds."""
    error_type: bool = False
    """Whether a failure is also told as `error_type`, which a success does not have: its code where there is one, as
    the conventions have it, else its last label."""


HISTOGRAMS: Final = (
    HistogramSpec(
        "gen_ai_execute_tool_duration_seconds",
        "Duration of tool calls as their callers saw them, retries, cache and fallbacks included.",
        lambda store: store.tools,
        ("domain", "mcp_server", "gen_ai_tool_name", "outcome"),
        TOOL_BOUNDS,
        error_type=True,
    ),
    HistogramSpec(
        "mcp_client_operation_duration_seconds",
        "Duration of single attempts at an MCP server.",
        lambda store: store.attempts,
        ("domain", "mcp_server", "mcp_method_name", "gen_ai_tool_name", CODE_LABEL, ""),
        MCP_BOUNDS,
        error_type=True,
    ),
    HistogramSpec(
        "mcp_client_session_duration_seconds",
        "How long connections to MCP servers lasted that have ended.",
        lambda store: store.sessions,
        ("mcp_server", "replica", ""),
        MCP_BOUNDS,
        error_type=True,
    ),
    HistogramSpec(
        "mcp_server_operation_duration_seconds",
        "Duration of requests of MCP that the gateway answered.",
        lambda store: store.served,
        ("mcp_method_name", "gen_ai_tool_name", "network_transport", CODE_LABEL, ""),
        MCP_BOUNDS,
        error_type=True,
    ),
    HistogramSpec(
        "trunkline_domain_request_duration_seconds",
        "Duration of domain requests.",
        lambda store: store.requests,
        ("domain", "operation", "outcome"),
        FAST_BOUNDS + MCP_BOUNDS,
    ),
    HistogramSpec(
        "trunkline_health_check_duration_seconds",
        "Duration of background health probes.",
        lambda store: store.probes,
        ("component", "replica", "outcome"),
        FAST_BOUNDS + MCP_BOUNDS,
    ),
    HistogramSpec(
        "trunkline_event_loop_lag_seconds",
        "How late the event loop woke.",
        lambda store: (store.loop_lag,),
        (),
        FAST_BOUNDS + MCP_BOUNDS,
    ),
)

COUNTERS: Final = (
    ("trunkline_retries", "Attempts made again.", "retries", ("mcp_server", "gen_ai_tool_name", "error_type")),
    ("trunkline_hedges", "Second attempts at a slow call.", "hedges", ("mcp_server", "gen_ai_tool_name")),
    ("trunkline_ejections", "Replicas left out for doing worse.", "ejections", ("mcp_server", "replica")),
    (
        "trunkline_circuit_transitions",
        "Changes of a circuit's state.",
        "transitions",
        ("mcp_server", "replica", "from", "to"),
    ),
    ("trunkline_connections_opened", "Connections opened.", "opened", ("mcp_server", "replica")),
    ("trunkline_connections_lost", "Open connections that ended.", "lost", ("mcp_server", "replica")),
    (
        "trunkline_connect_failures",
        "Connections that could not be opened.",
        "connect_failures",
        ("mcp_server", "replica"),
    ),
    ("trunkline_cache_requests", "Tool calls by what the cache did for them.", "cache", ("domain", "result")),
    ("trunkline_fallbacks", "Calls answered by a substitute.", "fallbacks", ("domain", "fallback")),
    ("trunkline_tool_changes", "Listings that differed from the one before.", "tool_changes", ("mcp_server",)),
    ("trunkline_tool_drifts", "Tools that changed under the same name.", "tool_drifts", ("mcp_server",)),
    ("trunkline_pin_mismatches", "Tools found to differ from what was accepted.", "pin_mismatches", ("mcp_server",)),
    ("trunkline_config_reloads", "Changed configurations, by what became of them.", "config", ("result",)),
    (
        "trunkline_answers_abandoned",
        "Answers of the gateway that their reader did not take.",
        "abandoned",
        ("path", "reason"),
    ),
    ("trunkline_requests_refused", "Requests and connections that the gateway refused.", "refused", ("reason",)),
)
"""(name without `_total`, help, the store's name for it, labels) of each counter."""
