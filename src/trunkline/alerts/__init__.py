"""Alerts: rules over the metrics and the health of everything, their states, and who is told of changes.

Decisions are pure and take the time as an argument; `AlertManager` samples, decides and tells. The same rules export to
Prometheus.
"""

from __future__ import annotations

from trunkline.alerts.alert import Alert, AlertState
from trunkline.alerts.manager import AlertManager

__all__ = ["Alert", "AlertManager", "AlertState"]
