"""Folds over the event stream: metrics, their exposition, and logs. Sees events only, never the call path itself."""

from __future__ import annotations

from trunkline.monitoring.asgi import MetricsMiddleware
from trunkline.monitoring.log_context import Redaction, add_call, call_context
from trunkline.monitoring.logging import LogObserver
from trunkline.monitoring.metrics import DomainStats, MetricsCollector, Trend
from trunkline.monitoring.process_log import ProcessLog, configure_logging
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.statements import Statement

__all__ = [
    "DomainStats",
    "LogObserver",
    "MetricsCollector",
    "MetricsMiddleware",
    "ProcessLog",
    "PrometheusExporter",
    "Redaction",
    "Statement",
    "Trend",
    "add_call",
    "call_context",
    "configure_logging",
]
