"""The description of what is said of alerts. A part of `openapi`."""

from __future__ import annotations

from typing import Any, Final

from trunkline.gateway.schemas import COUNT, MOMENT, TEXT, Schema, answer, get, list_of, map_of, object_of, or_null, ref

__all__ = ["alert_paths", "alert_schemas"]

_MEASURE: Final[Schema] = {"type": "number", "description": "a share from 0 to 1, or seconds"}
_STATE: Final[Schema] = {"type": "string", "enum": ["inactive", "pending", "firing", "recovering", "unknown"]}


def alert_paths() -> dict[str, Any]:
    """Paths by address."""
    return {"/api/v1/alerts": get("What is wrong, and was", {"200": answer("By the rules in force", "Alerts")})}


def alert_schemas() -> dict[str, Schema]:
    """Schemas by name."""
    return {
        "Alert": object_of(
            rule=TEXT,
            severity={"type": "string", "enum": ["critical", "warning", "info"]},
            state=_STATE,
            labels=map_of(TEXT) | {"description": "whom it is about"},
            since=MOMENT,
            fired=or_null(MOMENT),
            ended=or_null(MOMENT),
            value=_MEASURE,
            threshold=_MEASURE,
            summary=TEXT,
            reason=TEXT,
            runbook=TEXT,
            inhibited_by=TEXT | {"description": "the alert that explains this one; empty for none"},
        ),
        "Alerts": object_of(
            active=list_of(ref("Alert")) | {"description": "firing and severe ones first"},
            history=list_of(ref("Alert")) | {"description": "those that fired and are over, the latest first"},
            rules=list_of(object_of(name=TEXT, state=_STATE)),
            sinks=list_of(
                object_of(
                    name=TEXT,
                    type={"type": "string", "enum": ["webhook", "alertmanager", "callable"]},
                    delivered=COUNT,
                    failed=COUNT,
                    dropped=COUNT,
                    waiting=COUNT,
                    trouble=TEXT,
                )
            ),
        ),
    }
