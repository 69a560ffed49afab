"""JSON Merge Patch (RFC 7396): what turns one JSON document into another, and the turning. Pure, over plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["difference", "patched"]


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch that makes `new` of `old`, empty where they are equal.

    Objects are compared member by member, everything else as a whole. `new` may hold no null: in a patch that is the
    removal of a member.
    """
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif before != value:
            patch[name] = value
    return patch


def patched(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `target` with `patch` applied; what the patch leaves alone is shared between the two, not copied."""
    made = dict(target)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict):
            before = made.get(name)
            made[name] = patched(before if isinstance(before, dict) else {}, value)
        else:
            made[name] = value
    return made
