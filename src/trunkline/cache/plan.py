"""What the cache does about calls of one tool, or about another question to one server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_types import Result, ToolAnnotations
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from trunkline.cache.entry import CacheKey
from trunkline.cache.key import KeySpace
from trunkline.cache.tags import ALL, custom_tag, hashed, mine_tag, principal_tag, server_tag
from trunkline.call import Call, Method
from trunkline.policy import CachePolicy, ListingCachePolicy, ServerPolicy, ToolPolicy

__all__ = ["ANYBODY", "IGNORED_META", "Plan", "policy_for", "reads_only", "unusual_meta"]

ANYBODY = "-"
"""Stands for the principal of calls that name none."""
_PUBLIC = "public"

IGNORED_META = frozenset(
    {"progressToken", "progress_token", "traceparent", "tracestate", "baggage", "trunkline/domain"}
)
"""Keys of a request's `_meta` that make no difference to the answer."""

_MOST_SPACES = 64


@dataclass(slots=True, eq=False)
class Plan:
    """How the answers to one question are kept, whatever its arguments."""

    method: Method
    name: str
    """The tool as shown to callers; what is counted under."""
    namespace: str
    server: str
    target: str
    parts: tuple[Any, ...]
    """Everything but principal and arguments that makes a difference, see `key`."""
    tags: tuple[str, ...]
    """Beside those that depend on the principal and the arguments."""
    policy: CachePolicy | None
    """None where nothing is kept."""
    timeout: float
    """Seconds a call that nobody waits for may take."""
    attempt_timeout: float | None = None
    """Seconds an attempt takes by policy; a call that has it otherwise is not shared."""
    hints: ListingCachePolicy | None = None
    """How the server's own hints are taken; None for a tool, whose policy says everything."""
    invalidates: tuple[str, ...] | None = ()
    """Tags that a call makes invalid; None for what its server answered its principal."""
    era: str = ""
    profile: CacheKey | None = None
    """Where other processes are told what the tool is; None where they are not."""
    what: tuple[str, str, str] = ("", "", "")
    """What they are told: its own name, its era, its fingerprint."""
    told_until: float = 0.0
    """When they have to be told again, in seconds on the loop's clock."""
    _spaces: dict[tuple[str | None, bool], KeySpace] = field(default_factory=dict, init=False, repr=False)

    def space(self, principal: str | None, *, is_public: bool = False) -> KeySpace:
        """The keys of one principal, or of what the server calls public; None is whoever has no name."""
        space = self._spaces.get((principal, is_public))
        if space is None:
            if len(self._spaces) >= _MOST_SPACES:
                self._spaces.clear()
            who = _who(principal, self.namespace, is_public=is_public)
            tags = (ALL, server_tag(self.server), *self.tags, principal_tag(who), mine_tag(self.server, who))
            space = KeySpace(
                # A text for a principal, None for nobody, a number for everybody: no name can be mistaken for another.
                [self.namespace, *self.parts, 1 if is_public else principal],
                tags=tags,
                name=self.name,
                is_shareable=is_public or principal is not None,
            )
            self._spaces[principal, is_public] = space
        return space

    def moved(self, principal: str | None) -> tuple[str, ...]:
        """The tags that a call by this principal makes invalid."""
        if self.invalidates is None:
            return (mine_tag(self.server, _who(principal, self.namespace)),)
        return tuple(custom_tag(name) for name in self.invalidates)

    def fresh_for(self, result: Result) -> float:
        """Seconds the answer is fresh; 0 keeps nothing."""
        if self.policy is None or self.policy.ttl is None:
            return 0.0
        if self.hints is None:
            return self.policy.ttl
        told = getattr(result, "ttl_ms", 0) / 1000 if self.era in MODERN_PROTOCOL_VERSIONS else 0.0
        return min(max(told, self.hints.min_ttl), self.hints.max_ttl)

    def is_public(self, result: Result) -> bool:
        """Whether anybody may be given the answer."""
        if self.hints is None or not self.hints.share_public or self.era not in MODERN_PROTOCOL_VERSIONS:
            return False
        return getattr(result, "cache_scope", "private") == "public"


def _who(principal: str | None, namespace: str, *, is_public: bool = False) -> str:
    if is_public:
        return _PUBLIC
    return ANYBODY if principal is None else hashed(principal, namespace)


def reads_only(tool: ToolPolicy, server: ServerPolicy, hints: ToolAnnotations | None) -> bool:
    """Whether a tool is known to change nothing: the operator caches it, or a trusted server says so."""
    if policy_for(tool, server, hints) is not None:
        return True
    return server.trust_annotations and hints is not None and hints.read_only_hint is True and not _warns(hints)


def policy_for(tool: ToolPolicy, server: ServerPolicy, hints: ToolAnnotations | None) -> CachePolicy | None:
    """What a tool's answers are kept by, None for not at all. Annotations narrow; only the operator widens."""
    if _warns(hints) or not tool.cache.enabled:
        return None
    if tool.cache.ttl is not None:
        return tool.cache
    believed = server.trust_annotations and hints is not None and hints.read_only_hint is True
    return server.cache if believed and server.cache.enabled and server.cache.ttl is not None else None


def _warns(hints: ToolAnnotations | None) -> bool:
    return hints is not None and (hints.destructive_hint is True or hints.read_only_hint is False)


def unusual_meta(call: Call) -> bool:
    """Whether the call's `_meta` may make a difference to the answer."""
    meta: Mapping[str, Any] | None = call.meta
    return bool(meta) and not IGNORED_META.issuperset(meta or ())
