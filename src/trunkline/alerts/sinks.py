"""What is sent to whom: functions of the application, webhooks, and an Alertmanager.

Payloads are those of Alertmanager: its webhook form, version 4, and its API v2.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import anyio.to_thread
import httpx2

from trunkline.alerts.alert import Alert
from trunkline.alerts.outlet import Outlet, SinkRefused
from trunkline.policy import SinkPolicy

__all__ = ["AlertCallback", "Notification", "callable_outlet", "http_outlet", "labels_of"]

AlertCallback: TypeAlias = Callable[[Alert], object]
"""A function, run in a thread, or a coroutine function, run in the event loop."""

_CALL_TIMEOUT: Final = 10.0
"""Seconds a function may take."""
_RETRIED: Final = (408, 429)
_NEVER: Final = "0001-01-01T00:00:00Z"
"""Alertmanager's word for an end that is not known."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Alerts that are told together."""

    group: Mapping[str, str]
    """What they have in common: a server, a domain, or the like."""
    status: Literal["firing", "resolved"]
    alerts: tuple[Alert, ...]


def callable_outlet(callback: AlertCallback, on_failure: Callable[[str, str], None]) -> Outlet[Alert]:
    """Return the way to a function of the application."""
    limiter = anyio.CapacityLimiter(1)

    async def call(alert: Alert) -> None:
        if inspect.iscoroutinefunction(callback):
            await callback(alert)
        else:
            # One that hangs keeps its thread and the only permit: the next ones wait in vain, and are counted.
            await anyio.to_thread.run_sync(callback, alert, abandon_on_cancel=True, limiter=limiter)

    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return Outlet(name, "callable", call, on_failure=on_failure, timeout=_CALL_TIMEOUT)


def http_outlet(name: str, policy: SinkPolicy, on_failure: Callable[[str, str], None]) -> Outlet[Notification]:
    """Return the way to a webhook or an Alertmanager."""
    url = policy.url or ""
    # Redirects are not followed: they would carry the headers elsewhere.
    client = httpx2.AsyncClient(headers=dict(policy.headers or {}), timeout=policy.timeout)
    if policy.type == "alertmanager":
        url = f"{url.rstrip('/')}/api/v2/alerts"

    def body(notification: Notification) -> Any:
        if policy.type == "alertmanager":
            return [_told(alert, ends_after=4 * policy.resend) for alert in notification.alerts]
        return _webhook(name, notification)

    async def post(notification: Notification) -> None:
        answer = await client.post(url, json=body(notification))
        if not answer.is_success:
            is_final = 300 <= answer.status_code < 500 and answer.status_code not in _RETRIED
            raise SinkRefused(f"answered {answer.status_code}", is_final=is_final)

    return Outlet(
        name,
        policy.type,
        post,
        on_failure=on_failure,
        timeout=policy.timeout,
        attempts=policy.attempts,
        pause=policy.pause,
        waiting=policy.waiting,
        resource=client,
    )


def labels_of(alert: Alert) -> dict[str, str]:
    """All that tells an alert from others, in Alertmanager's eyes."""
    return {"alertname": alert.rule, "severity": alert.severity, **alert.labels}


def _told(alert: Alert, *, ends_after: float | None) -> dict[str, Any]:
    annotations = {"summary": alert.summary, "description": alert.reason, "runbook_url": alert.runbook}
    told = {
        "labels": labels_of(alert),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": _written(alert.fired or alert.since),
        "generatorURL": "",
    }
    if alert.ended is not None:
        told["endsAt"] = _written(alert.ended)
    elif ends_after is not None:
        told["endsAt"] = _written(datetime.now(UTC).timestamp() + ends_after)
    return told


def _webhook(receiver: str, notification: Notification) -> dict[str, Any]:
    alerts = [
        {
            "status": notification.status,
            "endsAt": _NEVER,
            "fingerprint": _fingerprint(labels_of(alert)),
            **_told(alert, ends_after=None),
        }
        for alert in notification.alerts
    ]
    group = dict(notification.group)
    return {
        "version": "4",
        "groupKey": "{}:{" + ",".join(f'{name}="{value}"' for name, value in sorted(group.items())) + "}",
        "truncatedAlerts": 0,
        "status": notification.status,
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "",
        "alerts": alerts,
    }


def _common(tables: list[dict[str, str]]) -> dict[str, str]:
    first, *others = tables
    return {name: value for name, value in first.items() if all(table.get(name) == value for table in others)}


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
