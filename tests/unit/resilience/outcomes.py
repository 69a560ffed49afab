"""Outcomes of attempts, as tests tell them to whoever leaves replicas out."""

from __future__ import annotations

from trunkline.resilience.outlier import Outliers

__all__ = ["note"]


def note(outliers: Outliers, replica: str, *, ok: bool, now: float = 0.0, incident: object | None = None) -> None:
    """Tell of an attempt that began and ended at `now`."""
    outliers.note(replica, ok=ok, now=now, generation=outliers.generation(replica, now), incident=incident)
