"""One alert that is not inactive, as the manager keeps it between evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.alerts.alert import Alert, AlertState
from trunkline.alerts.rule import Rule
from trunkline.alerts.state import Status, advanced
from trunkline.alerts.timeline import Subject
from trunkline.alerts.wording import described
from trunkline.events import AlertChanged

__all__ = ["Tracked"]


@dataclass(slots=True)
class Tracked:
    """What is known of one subject that breaks one rule."""

    rule: Rule
    subject: Subject
    epoch: float
    """What the clock of evaluations lacks to seconds since the epoch: taken once, so that no beginning moves."""
    value: float = 0.0
    reason: str = ""
    inhibited_by: str = ""
    is_told: bool = False
    """Whether sinks were told that it fires."""
    status: Status = field(default_factory=lambda: Status("inactive", 0.0))

    @property
    def title(self) -> str:
        """The rule and the subject, shortly."""
        return " ".join((self.rule.name, *filter(None, self.subject)))

    def advance(self, *, is_bad: bool, now: float) -> bool:
        """Go one evaluation on; False when it is over."""
        before = None if self.status.state == "inactive" else self.status
        policy = self.rule.policy
        status = advanced(before, is_bad=is_bad, now=now, hold=policy.for_, keep=policy.keep_firing_for)
        if status is not None:
            self.status = status
        return status is not None

    def end(self) -> None:
        """It is over."""
        self.status = Status("inactive", self.status.began, self.status.fired)

    def alert(self) -> Alert:
        """What is shown of it."""
        rule, status, labels = self.rule, self.status, self.rule.labels(self.subject)
        return Alert(
            rule=rule.name,
            severity=rule.policy.severity,
            state=status.state,
            labels=labels,
            since=status.began + self.epoch,
            fired=None if status.fired is None else status.fired + self.epoch,
            ended=None,
            value=self.value,
            threshold=1.0 if rule.is_plain and rule.policy.of != "loop" else rule.policy.limit,
            summary=described(rule, labels, self.value),
            reason=self.reason,
            runbook=rule.policy.runbook,
            inhibited_by=self.inhibited_by,
        )

    def change(self, old: AlertState, now: float) -> AlertChanged:
        """The event that tells of its change from `old`."""
        alert = self.alert()
        subject = ",".join(f"{name}={value}" for name, value in alert.labels.items())
        return AlertChanged(
            at=now,
            rule=alert.rule,
            severity=alert.severity,
            subject=subject,
            old=old,
            new=alert.state,
            summary=alert.summary,
            value=alert.value,
            threshold=alert.threshold,
            inhibited_by=alert.inhibited_by,
        )
