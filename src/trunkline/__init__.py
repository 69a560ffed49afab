"""Trunkline: the infrastructure layer for Python applications and agents that call MCP tools."""

from __future__ import annotations

from trunkline.call import Delivery, Provenance, ToolResult
from trunkline.endpoint import HttpEndpoint, InProcessEndpoint, ServerSettings, StdioEndpoint
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CallFailed,
    CallRejected,
    CircuitOpen,
    ConfigError,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    InvalidResult,
    ServerError,
    ServerUnavailable,
    ToolNotFound,
    TrunklineError,
)
from trunkline.health.monitor import HealthMonitor
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.infrastructure import Infrastructure
from trunkline.mcp_client import EnhancedMCPClient
from trunkline.monitoring.asgi import MetricsMiddleware
from trunkline.monitoring.logging import configure_logging
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import (
    BreakerPolicy,
    BulkheadPolicy,
    HealthPolicy,
    PoolPolicy,
    RetryPolicy,
    ServerPolicy,
    ToolPolicy,
)
from trunkline.registry.tool_registry import ToolRegistry

__all__ = [
    "AttemptTimeout",
    "BreakerPolicy",
    "BulkheadFull",
    "BulkheadPolicy",
    "CallError",
    "CallFailed",
    "CallRejected",
    "CircuitOpen",
    "ConfigError",
    "ConnectionLost",
    "DeadlineExceeded",
    "Delivery",
    "DependencyHealth",
    "EnhancedMCPClient",
    "HealthMonitor",
    "HealthPolicy",
    "HealthReport",
    "HttpEndpoint",
    "InProcessEndpoint",
    "Infrastructure",
    "InvalidArguments",
    "InvalidResult",
    "MetricsCollector",
    "MetricsMiddleware",
    "PoolPolicy",
    "Provenance",
    "RetryPolicy",
    "ServerError",
    "ServerPolicy",
    "ServerSettings",
    "ServerUnavailable",
    "StdioEndpoint",
    "ToolNotFound",
    "ToolPolicy",
    "ToolRegistry",
    "ToolResult",
    "TrunklineError",
    "configure_logging",
]
