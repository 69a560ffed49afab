"""Trunkline: the infrastructure layer for Python applications and agents that call MCP tools.

The names below are the public API. They are imported when first used, so that `import trunkline` costs nothing and
`trunkline --help` answers at once: the MCP SDK alone takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.alerts.alert import Alert
    from trunkline.alerts.manager import AlertManager
    from trunkline.cache.cache_manager import CacheManager
    from trunkline.cache.redis_client import RedisClient
    from trunkline.cache.redis_tier import RedisTier
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
        RateLimited,
        ServerError,
        ServerUnavailable,
        ToolNotFound,
        ToolRefused,
        TrunklineError,
    )
    from trunkline.health.monitor import HealthMonitor
    from trunkline.health.report import DependencyHealth, HealthReport
    from trunkline.infrastructure import Infrastructure
    from trunkline.mcp_client import EnhancedMCPClient
    from trunkline.monitoring.asgi import MetricsMiddleware
    from trunkline.monitoring.metrics import MetricsCollector
    from trunkline.monitoring.process_log import configure_logging
    from trunkline.policy import (
        AlertRule,
        AlertSettings,
        BreakerPolicy,
        BulkheadPolicy,
        CachePolicy,
        CacheSettings,
        ClientCredentials,
        DomainPolicy,
        FallbackPolicy,
        HealthPolicy,
        HedgePolicy,
        ListingCachePolicy,
        OutlierPolicy,
        PinPolicy,
        PoolPolicy,
        RatePolicy,
        RedisPolicy,
        RetryPolicy,
        ServerPolicy,
        SinkPolicy,
        ToolPolicy,
    )
    from trunkline.registry.tool_registry import ToolRegistry

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSettings",
    "AttemptTimeout",
    "BreakerPolicy",
    "BulkheadFull",
    "BulkheadPolicy",
    "CacheManager",
    "CachePolicy",
    "CacheSettings",
    "CallError",
    "CallFailed",
    "CallRejected",
    "CircuitOpen",
    "ClientCredentials",
    "ConfigError",
    "ConnectionLost",
    "DeadlineExceeded",
    "Delivery",
    "DependencyHealth",
    "DomainPolicy",
    "EnhancedMCPClient",
    "FallbackPolicy",
    "HealthMonitor",
    "HealthPolicy",
    "HealthReport",
    "HedgePolicy",
    "HttpEndpoint",
    "InProcessEndpoint",
    "Infrastructure",
    "InvalidArguments",
    "InvalidResult",
    "ListingCachePolicy",
    "MetricsCollector",
    "MetricsMiddleware",
    "OutlierPolicy",
    "PinPolicy",
    "PoolPolicy",
    "Provenance",
    "RateLimited",
    "RatePolicy",
    "RedisClient",
    "RedisPolicy",
    "RedisTier",
    "RetryPolicy",
    "ServerError",
    "ServerPolicy",
    "ServerSettings",
    "ServerUnavailable",
    "SinkPolicy",
    "StdioEndpoint",
    "ToolNotFound",
    "ToolPolicy",
    "ToolRefused",
    "ToolRegistry",
    "ToolResult",
    "TrunklineError",
    "configure_logging",
]

_HOMES = {
    "Alert": "trunkline.alerts.alert",
    "AlertManager": "trunkline.alerts.manager",
    "AlertRule": "trunkline.policy",
    "AlertSettings": "trunkline.policy",
    "AttemptTimeout": "trunkline.errors",
    "BreakerPolicy": "trunkline.policy",
    "BulkheadFull": "trunkline.errors",
    "BulkheadPolicy": "trunkline.policy",
    "CacheManager": "trunkline.cache.cache_manager",
    "CachePolicy": "trunkline.policy",
    "CacheSettings": "trunkline.policy",
    "CallError": "trunkline.errors",
    "CallFailed": "trunkline.errors",
    "CallRejected": "trunkline.errors",
    "CircuitOpen": "trunkline.errors",
    "ClientCredentials": "trunkline.policy",
    "ConfigError": "trunkline.errors",
    "ConnectionLost": "trunkline.errors",
    "DeadlineExceeded": "trunkline.errors",
    "Delivery": "trunkline.call",
    "DependencyHealth": "trunkline.health.report",
    "DomainPolicy": "trunkline.policy",
    "EnhancedMCPClient": "trunkline.mcp_client",
    "FallbackPolicy": "trunkline.policy",
    "HealthMonitor": "trunkline.health.monitor",
    "HealthPolicy": "trunkline.policy",
    "HealthReport": "trunkline.health.report",
    "HedgePolicy": "trunkline.policy",
    "HttpEndpoint": "trunkline.endpoint",
    "InProcessEndpoint": "trunkline.endpoint",
    "Infrastructure": "trunkline.infrastructure",
    "InvalidArguments": "trunkline.errors",
    "InvalidResult": "trunkline.errors",
    "ListingCachePolicy": "trunkline.policy",
    "MetricsCollector": "trunkline.monitoring.metrics",
    "MetricsMiddleware": "trunkline.monitoring.asgi",
    "OutlierPolicy": "trunkline.policy",
    "PinPolicy": "trunkline.policy",
    "PoolPolicy": "trunkline.policy",
    "Provenance": "trunkline.call",
    "RateLimited": "trunkline.errors",
    "RatePolicy": "trunkline.policy",
    "RedisClient": "trunkline.cache.redis_client",
    "RedisPolicy": "trunkline.policy",
    "RedisTier": "trunkline.cache.redis_tier",
    "RetryPolicy": "trunkline.policy",
    "ServerError": "trunkline.errors",
    "ServerPolicy": "trunkline.policy",
    "ServerSettings": "trunkline.endpoint",
    "ServerUnavailable": "trunkline.errors",
    "SinkPolicy": "trunkline.policy",
    "StdioEndpoint": "trunkline.endpoint",
    "ToolNotFound": "trunkline.errors",
    "ToolPolicy": "trunkline.policy",
    "ToolRefused": "trunkline.errors",
    "ToolRegistry": "trunkline.registry.tool_registry",
    "ToolResult": "trunkline.call",
    "TrunklineError": "trunkline.errors",
    "configure_logging": "trunkline.monitoring.process_log",
}

if not TYPE_CHECKING:  # or type checkers would take any misspelt name for an `Any`

    def __getattr__(name: str) -> Any:
        """Import a public name from its module (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_HOMES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
