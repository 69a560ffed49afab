"""Plans and caches as a test wants them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trunkline.cache.plan import Plan
from trunkline.policy import CachePolicy

__all__ = ["a_plan"]


def a_plan(name: str = "s_known", *, server: str = "s", namespace: str = "default", **policy: Any) -> Plan:
    """The plan of a tool that is kept by this policy, without jitter unless that says otherwise."""
    return Plan(
        method="tools/call",
        name=name,
        namespace=namespace,
        server=server,
        target=name.removeprefix(f"{server}_"),
        parts=(server, name),
        tags=(f"tool:{name}",),
        policy=replace(CachePolicy(jitter=0.0), **policy),
        timeout=30.0,
    )
