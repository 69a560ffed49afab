"""What may be kept of each call: read from its tool's definition, its server and the policies. Sits below the stacks.

It also watches: what a server tells of changed tools, prompts and resources makes answers invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from mcp_types import ToolAnnotations

from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey
from trunkline.cache.key import KeySpace
from trunkline.cache.plan import Plan, policy_for, reads_only
from trunkline.cache.tags import ALL, custom_tag, listing_tag, resource_tag, server_tag, tool_tag
from trunkline.call import Call
from trunkline.endpoint import ServerSettings
from trunkline.events import Event, ListingChanged, ResourceUpdated, ToolDrifted, ToolsChanged
from trunkline.layers.cache import CacheLayer
from trunkline.layers.fresh import FreshLayer
from trunkline.policy import CachePolicy, ToolPolicy
from trunkline.registry.tool import Tool
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["Caching", "Served"]

_HINTED = frozenset({"resources/list", "resources/templates/list", "resources/read", "prompts/list"})
"""Questions whose answers carry the server's own word on how long they are good for."""
_MOST_PLANS = 16384


class Served(Protocol):
    """A server as the cache sees it."""

    settings: ServerSettings

    @property
    def era(self) -> str:
        """The protocol version it was last spoken to in; empty before that."""
        ...


class Caching:
    """The plan of each call, made once and kept until the tool, its server or a policy changes."""

    kinds: ClassVar = (ListingChanged, ResourceUpdated, ToolDrifted, ToolsChanged)
    """The events that tell it anything."""

    def __init__(self, cache: CacheManager, registry: ToolRegistry, servers: Mapping[str, Served]) -> None:
        """Plan for `cache`; `servers` are those in force, now and at any later time."""
        self.cache = cache
        self._registry = registry
        self._servers = servers
        self.fresh = FreshLayer(cache, self.plan)
        """For the client's stack."""
        self.layer = CacheLayer(cache, self.plan)
        """For each server's stack."""
        self._by_name: dict[str, Plan] = {}
        self._plans: dict[tuple[str, str, str], tuple[Plan, Served, Tool | None]] = {}

    def __repr__(self) -> str:
        return f"<Caching [{len(self._plans)} plans] {self.cache!r}>"

    def plan(self, call: Call) -> Plan | None:
        """What to do about a call, wherever it is on its way; None where the cache has no business with it."""
        if call.method == "tools/call":
            place = (call.server, call.target)
            tool = self._registry.tool_at(*place) if call.server else self._registry.get(call.name)
            return None if tool is None or self._registry.acceptance.is_refused(tool) else self._of_tool(tool)
        return self._of_content(call) if call.method in _HINTED else None

    def _of_tool(self, tool: Tool) -> Plan | None:
        served = self._servers.get(tool.server)
        if served is None:
            return None
        known = self._plans.get((tool.server, "tools/call", tool.target))
        if known is not None and known[2] is tool and known[1] is served and known[0].era == served.era:
            return known[0]
        server, hints = served.settings.policy, tool.definition.annotations
        policy = policy_for(tool.policy, server, hints)
        invalidates = tool.policy.cache.invalidates
        if invalidates is None and reads_only(tool.policy, server, hints):
            invalidates = ()
        what = (tool.target, served.era, tool.fingerprint)
        plan = self._tool_plan(
            served.settings, tool.name, what, tool=tool.policy, policy=policy, invalidates=invalidates
        )
        self._remember((tool.server, "tools/call", tool.target), (plan, served, tool))
        self._by_name.pop(tool.name, None)
        self._by_name[tool.name] = plan
        if len(self._by_name) > _MOST_PLANS:
            del self._by_name[next(iter(self._by_name))]
        return plan

    def _tool_plan(
        self,
        settings: ServerSettings,
        name: str,
        what: tuple[str, str, str],
        *,
        tool: ToolPolicy,
        policy: CachePolicy | None,
        invalidates: tuple[str, ...] | None,
    ) -> Plan:
        """The plan of the tool shown as `name`; `what` is its own name, its era and its fingerprint."""
        target, era, fingerprint = what
        return Plan(
            method="tools/call",
            name=name,
            namespace=self.cache.settings.namespace,
            server=settings.name,
            target=target,
            parts=(settings.name, settings.endpoint.identity, era, "tools/call", target, fingerprint),
            tags=(tool_tag(name), *(custom_tag(tag) for tag in (() if policy is None else policy.tags))),
            policy=policy,
            timeout=tool.timeout or settings.policy.timeout,
            attempt_timeout=tool.attempt_timeout,
            invalidates=invalidates,
            era=era,
            profile=None if policy is None else self.profile_of(settings.name, name),
            what=what,
        )

    def known(self, call: Call) -> Plan | None:
        """The plan of a call, also where its tool is no longer there: its server was removed, or has to list again."""
        plan = self.plan(call)
        if plan is None and call.method == "tools/call":
            plan = self._by_name.get(call.name)
            served = None if plan is None else self._servers.get(plan.server)
            if plan is not None and served is not None and served.settings.endpoint.identity not in plan.parts:
                return None  # another server has the name by now
        return plan

    def unlisted(self, call: Call) -> list[str]:
        """Servers never reached so far that may have the tool of a call, and whose answers are kept for bad times."""
        if call.method != "tools/call":
            return []
        tool = self._registry.policy_of(call.name)
        return [name for name in self._registry.servers_for(call.name) if self._kept_by(name, tool) is not None]

    def _kept_by(self, server: str, tool: ToolPolicy) -> CachePolicy | None:
        served = self._servers.get(server)
        # What other processes have is there because the tool's annotations allowed it: only the policies are asked.
        reading = ToolAnnotations(read_only_hint=True)
        policy = None if served is None else policy_for(tool, served.settings.policy, reading)
        return policy if policy is not None and policy.stale_if_error else None

    def profile_of(self, server: str, name: str) -> CacheKey:
        """Where processes tell one another what a tool was when they last heard of it."""
        served = self._servers.get(server)
        identity = "" if served is None else served.settings.endpoint.identity
        tags = (ALL, server_tag(server), tool_tag(name))
        parts = [self.cache.settings.namespace, "profile", server, identity]
        space = KeySpace(parts, tags=tags, name=name, is_shareable=True)
        # Its own tags alone: their versions are known to whoever has an answer of the tool.
        return CacheKey(space.key({"name": name}).digest, tags, is_shareable=True)

    def recalled(self, server: str, name: str, target: str, era: str, fingerprint: str) -> Plan:
        """The plan of a tool as another process knew it."""
        tool = self._registry.policy_of(name)
        what = (target, era, fingerprint)
        settings, policy = self._servers[server].settings, self._kept_by(server, tool)
        return self._tool_plan(settings, name, what, tool=tool, policy=policy, invalidates=())

    def _of_content(self, call: Call) -> Plan | None:
        served = self._servers.get(call.server)
        if served is None or not served.settings.policy.listings.enabled:
            return None
        place = (call.server, call.method, call.target)
        known = self._plans.get(place)
        if known is not None and known[1] is served and known[0].era == served.era:
            return known[0]
        server, is_read = served.settings.policy, call.method == "resources/read"
        hints = server.listings
        plan = Plan(
            method=call.method,
            name=f"{call.server} {call.method}",
            namespace=self.cache.settings.namespace,
            server=call.server,
            target=call.target,
            parts=(call.server, served.settings.endpoint.identity, served.era, call.method, call.target),
            tags=(resource_tag(call.server, call.target) if is_read else listing_tag(call.server),),
            policy=CachePolicy(ttl=hints.max_ttl, stale=hints.stale, stale_if_error=hints.stale_if_error, jitter=0.0),
            timeout=server.timeout,
            hints=hints,
            era=served.era,
        )
        self._remember(place, (plan, served, None))
        return plan

    def _remember(self, place: tuple[str, str, str], known: tuple[Plan, Served, Tool | None]) -> None:
        if len(self._plans) >= _MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[place] = known

    def __call__(self, event: Event) -> None:
        """Make invalid what a server says has changed."""
        bump = self.cache.tiers.bump
        match event:
            case ToolsChanged() if event.server in self._servers and event.removed:
                bump([tool_tag(name) for name in event.removed])
            case ToolDrifted():
                bump([tool_tag(event.name)])
            case ListingChanged():
                bump([listing_tag(event.server)])
            case ResourceUpdated():
                bump([resource_tag(event.server, event.uri)])
            case _:
                pass

    def replaced(self, server: str) -> None:
        """A server is reached in another way, perhaps with other credentials: its old answers are another one's."""
        self.cache.tiers.bump([server_tag(server)])
