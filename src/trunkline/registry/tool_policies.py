"""What each tool obeys, by the name shown to callers: a policy of its own, or the one of a pattern that fits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trunkline.policy import ToolPolicy
from trunkline.policy.patterns import fits

__all__ = ["ToolPolicies"]

_PLAIN = ToolPolicy()


class ToolPolicies:
    """Policies by name or pattern; in a pattern, `*` stands for any characters, none included.

    A tool has one policy, whole: that of its exact name, else that of the longest pattern that fits (stars not counted,
    the first of equals), else `ToolPolicy()`. Nothing is merged, so what counts stands in one place.
    """

    def __init__(self, policies: Mapping[str, ToolPolicy] = MappingProxyType({})) -> None:
        self._exact = {name: policy for name, policy in policies.items() if "*" not in name}
        patterns = sorted((name for name in policies if "*" in name), key=_weight, reverse=True)
        self._patterns = [(pattern.split("*"), policies[pattern]) for pattern in patterns]

    def __repr__(self) -> str:
        return f"<ToolPolicies [{len(self._exact)} names, {len(self._patterns)} patterns]>"

    def of(self, name: str) -> ToolPolicy:
        """The policy that counts for the tool of that name."""
        own = self._exact.get(name)
        if own is not None:
            return own
        return next((policy for parts, policy in self._patterns if fits(name, parts)), _PLAIN)


def _weight(pattern: str) -> int:
    return len(pattern.replace("*", ""))
