"""Who is told what, and when: grouped, one notification for each transition, and Alertmanager again while it fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from anyio.abc import TaskGroup

from trunkline.alerts.alert import Alert
from trunkline.alerts.inhibition import AlertKey
from trunkline.alerts.outlet import Outlet, OutletStats
from trunkline.alerts.sinks import AlertCallback, Notification, callable_outlet, http_outlet
from trunkline.policy import Severity, SinkPolicy

__all__ = ["Notifier"]

_RANKS: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
_GROUPS: Final = ("server", "domain", "dependency")


class _Posted:
    """One sink over HTTP, and when it was last told of everything that fires."""

    def __init__(self, name: str, policy: SinkPolicy, on_failure: Callable[[str, str], None]) -> None:
        self.policy = policy
        self.outlet: Outlet[Notification] = http_outlet(name, policy, on_failure)
        self.told_at = float("-inf")

    def wants(self, alert: Alert) -> bool:
        return _RANKS.index(alert.severity) >= _RANKS.index(self.policy.at_least)


class Notifier:
    """Holds back what belongs together for a moment, then hands it to every sink. Never waits for one."""

    def __init__(self, on_failure: Callable[[str, str], None]) -> None:
        self.group_wait = 0.0
        self._on_failure = on_failure
        self._called: list[Outlet[Alert]] = []
        self._posted: dict[str, _Posted] = {}
        self._held: dict[AlertKey, Alert] = {}
        self._due: dict[tuple[tuple[str, str], ...], float] = {}
        self._tasks: TaskGroup | None = None

    def stats(self) -> tuple[OutletStats, ...]:
        """What became of everything, by sink."""
        outlets: list[Outlet[Alert] | Outlet[Notification]] = [posted.outlet for posted in self._posted.values()]
        return tuple(outlet.stats() for outlet in [*outlets, *self._called])

    def subscribe(self, callback: AlertCallback) -> Callable[[], None]:
        """Tell `callback` of every alert that fires or ends; returns a function that stops it."""
        outlet = callable_outlet(callback, self._on_failure)
        self._called.append(outlet)
        if self._tasks is not None:
            self._tasks.start_soon(outlet.run)

        def unsubscribe() -> None:
            if outlet in self._called:
                self._called.remove(outlet)
                outlet.close()

        return unsubscribe

    def apply(self, sinks: Mapping[str, SinkPolicy], group_wait: float) -> None:
        """Put these sinks in force; one that is as before keeps what waits in it."""
        self.group_wait = group_wait
        before, self._posted = self._posted, {}
        for name, policy in sinks.items():
            if not policy.enabled:
                continue
            kept = before.get(name)
            if kept is not None and kept.policy == policy:
                self._posted[name] = before.pop(name)
                continue
            self._posted[name] = posted = _Posted(name, policy, self._on_failure)
            if self._tasks is not None:
                self._tasks.start_soon(posted.outlet.run)
        for gone in before.values():
            gone.outlet.close()

    def start(self, tasks: TaskGroup) -> None:
        """Begin to send, in tasks of this group."""
        self._tasks = tasks
        for posted in self._posted.values():
            tasks.start_soon(posted.outlet.run)
        for outlet in self._called:
            tasks.start_soon(outlet.run)

    def tell(self, key: AlertKey, alert: Alert, now: float) -> None:
        """Have everybody told that `alert` fires, or that it is over."""
        for outlet in self._called:
            outlet.put(alert)
        if self._posted:
            if alert.ended is not None and key in self._held and self._held[key].ended is None:
                # It came and went before anybody was told.
                del self._held[key]
                return
            self._held[key] = alert
            self._due.setdefault(_group(alert), now + self.group_wait)

    def flush(self, now: float, firing: Callable[[], Mapping[AlertKey, Alert]]) -> None:
        """Hand on what has waited long enough; `firing` gives all alerts that were told and are not over."""
        for group in [group for group, due in self._due.items() if due <= now]:
            del self._due[group]
            keys = [key for key, alert in self._held.items() if _group(alert) == group]
            self._hand_on(dict(group), [self._held.pop(key) for key in keys])
        for posted in self._posted.values():
            if posted.policy.type == "alertmanager" and now - posted.told_at >= posted.policy.resend:
                posted.told_at = now
                known = firing().items()
                alerts = tuple(alert for key, alert in known if key not in self._held and posted.wants(alert))
                if alerts:
                    posted.outlet.put(Notification({}, "firing", alerts))

    def _hand_on(self, group: Mapping[str, str], alerts: list[Alert]) -> None:
        for posted in self._posted.values():
            wanted = [alert for alert in alerts if posted.wants(alert)]
            firing = tuple(alert for alert in wanted if alert.ended is None)
            resolved = tuple(alert for alert in wanted if alert.ended is not None)
            if firing:
                posted.outlet.put(Notification(group, "firing", firing))
            if resolved:
                posted.outlet.put(Notification(group, "resolved", resolved))


def _group(alert: Alert) -> tuple[tuple[str, str], ...]:
    name = next((name for name in _GROUPS if name in alert.labels), None)
    return ((name, alert.labels[name]),) if name else (("alertname", alert.rule),)
