"""What each part of the call path obeys: frozen numbers with their units, checked at birth.

No behaviour here. A policy's docstrings are the reference of the configuration file: the keys are the field names.
Sources of the defaults: `docs/decisions/0004-defaults.md`.
"""

from __future__ import annotations

from trunkline.policy.alert_rules import BUILT_IN_RULES, AlertSettings
from trunkline.policy.alerts import AlertBadness, AlertRule, AlertSubject, Severity, SinkKind, SinkPolicy
from trunkline.policy.attempts import (
    BreakerPolicy,
    BulkheadPolicy,
    HedgePolicy,
    OutlierPolicy,
    RatePolicy,
    RetryPolicy,
)
from trunkline.policy.authorization import ClientCredentials, ClientProof
from trunkline.policy.cache import CachePolicy, CacheSettings, CopyMode, ListingCachePolicy, RedisMode, RedisPolicy
from trunkline.policy.checks import is_confidential, is_loopback, require
from trunkline.policy.gateway import DrainPolicy, GatewaySettings, JwtPolicy, LimitsPolicy, PrincipalPolicy
from trunkline.policy.logs import LOG_LEVELS, LogFormat, LoggingPolicy, RepeatsPolicy, is_log_level
from trunkline.policy.patterns import NamePatterns
from trunkline.policy.pins import PinAction, PinPolicy, PinSettings
from trunkline.policy.servers import Era, HealthPolicy, PoolPolicy, ServerPolicy
from trunkline.policy.telemetry import OtlpPolicy, TelemetryPolicy
from trunkline.policy.tools import DomainPolicy, FallbackPolicy, ToolPolicy

__all__ = [
    "BUILT_IN_RULES",
    "LOG_LEVELS",
    "AlertBadness",
    "AlertRule",
    "AlertSettings",
    "AlertSubject",
    "BreakerPolicy",
    "BulkheadPolicy",
    "CachePolicy",
    "CacheSettings",
    "ClientCredentials",
    "ClientProof",
    "CopyMode",
    "DomainPolicy",
    "DrainPolicy",
    "Era",
    "FallbackPolicy",
    "GatewaySettings",
    "HealthPolicy",
    "HedgePolicy",
    "JwtPolicy",
    "LimitsPolicy",
    "ListingCachePolicy",
    "LogFormat",
    "LoggingPolicy",
    "NamePatterns",
    "OtlpPolicy",
    "OutlierPolicy",
    "PinAction",
    "PinPolicy",
    "PinSettings",
    "PoolPolicy",
    "PrincipalPolicy",
    "RatePolicy",
    "RedisMode",
    "RedisPolicy",
    "RepeatsPolicy",
    "RetryPolicy",
    "ServerPolicy",
    "Severity",
    "SinkKind",
    "SinkPolicy",
    "TelemetryPolicy",
    "ToolPolicy",
    "is_confidential",
    "is_log_level",
    "is_loopback",
    "require",
]
