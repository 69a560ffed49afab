"""The tool registry: what every server last said its tools are, and whether they can be called now.

A server that is down keeps its last good listing, marked unavailable. Nothing here does I/O or waits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import mcp_types

from trunkline.events import Emit, Event, ToolDrifted, ToolsChanged
from trunkline.policy import ServerPolicy, ToolPolicy
from trunkline.registry.acceptance import Acceptance
from trunkline.registry.availability import Availability, AvailabilityState, HistoryEntry, RegistryChange
from trunkline.registry.chronicle import Chronicle
from trunkline.registry.known_server import KnownServer
from trunkline.registry.listing import read_listing
from trunkline.registry.names import Names
from trunkline.registry.pins import Pins
from trunkline.registry.tool import Tool, shown_prefix
from trunkline.registry.tool_policies import ToolPolicies
from trunkline.registry.wording import difference, shortened

__all__ = ["ToolRegistry"]


def _ignore(_event: Event) -> None:
    """Tell nobody."""


class ToolRegistry:
    """Tools of all servers under the names callers use.

    `emit` takes what changes (`ToolsChanged`, `ToolDrifted`, `PinMismatched`, `PinsChecked`); `tools` are policies by
    shown name or pattern, see `ToolPolicies`; `wall` gives seconds since the epoch, for what people read. Every `now`
    is in seconds on the event loop's clock, for events; where it may be left out, the latest one known counts.
    """

    def __init__(
        self,
        *,
        emit: Emit = _ignore,
        tools: Mapping[str, ToolPolicy] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._emit = emit
        self._policies = ToolPolicies(tools or {})
        self._wall = wall
        self._now = 0.0
        self._born = wall()
        self._servers: dict[str, KnownServer] = {}
        self._names = Names()
        self._chronicle = Chronicle(wall)
        self.acceptance = Acceptance(wall)
        """Which tools are refused because they are not what somebody accepted."""

    def __repr__(self) -> str:
        states = Counter(server.availability.state for server in self._servers.values())
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"<ToolRegistry [{len(self._names.tools)} tools, {len(self._servers)} servers: {told or 'none'}]>"

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """The last 1,000 things that happened, the oldest first."""
        return self._chronicle.entries

    @property
    def subscriber_failures(self) -> int:
        """How often a subscriber raised."""
        return self._chronicle.failures

    def policy_of(self, name: str) -> ToolPolicy:
        """The policy that counts for a tool of that shown name, also for one no server has shown so far."""
        return self._policies.of(name)

    def subscribe(self, callback: Callable[[RegistryChange], None]) -> Callable[[], None]:
        """Tell `callback` of every change, once it is in force; returns a function that ends this."""
        return self._chronicle.subscribe(callback)

    def add_server(self, name: str, policy: ServerPolicy) -> None:
        """Know a server, without tools so far; who is added first keeps a name. Raises `ValueError` if it is known."""
        if name in self._servers:
            msg = f"the server {name!r} is in the registry already"
            raise ValueError(msg)
        self._servers[name] = KnownServer(policy, Availability("unknown", self._wall(), "not listed so far"))
        self._chronicle.note(name, "added")

    def remove_server(self, name: str, now: float | None = None) -> None:
        """Forget a server and its tools. One that is not known is forgotten already."""
        if self._servers.pop(name, None) is not None:
            self._chronicle.note(name, "removed")
            self._rename(now, also=name)

    def set_policies(
        self,
        *,
        servers: Mapping[str, ServerPolicy] | None = None,
        tools: Mapping[str, ToolPolicy] | None = None,
        now: float | None = None,
    ) -> None:
        """Put changed policies in force; None leaves them as they are.

        `servers` replaces the policies of those it names, and passes over names not in the registry; `tools`
        replaces all tool policies.
        """
        for name, policy in (servers or {}).items():
            if name in self._servers:
                self._servers[name].policy = policy
        if tools is not None:
            self._policies = ToolPolicies(tools)
        self._rename(now)

    def set_pins(self, pins: Pins | None, now: float | None = None) -> None:
        """Compare every tool with `pins` from now on, as its server's policy says; None for no comparison."""
        self.acceptance.pins = pins
        self._rename(now)

    def update(self, server: str, listing: Sequence[mcp_types.Tool], now: float) -> None:
        """Take over a complete new listing, all pages of it.

        An `unknown` server becomes `available` by it; other states are only changed by `mark`. The listing of a server
        that is not in the registry (removed meanwhile) is ignored.
        """
        known = self._servers.get(server)
        if known is None:
            return
        new = read_listing(listing)
        old_notes = known.listing.notes if known.listing is not None else ()
        drifted = known.drifted(new)
        is_changed = known.take(new)
        for what, detail in new.notes if new.notes != old_notes else ():
            self._chronicle.note(server, what, detail)
        if is_changed:
            self._chronicle.note(server, "listed", f"{len(new.definitions)} tools")
            self._rename(now, also=server, drifted=drifted)
        if known.availability.state == "unknown":
            self.mark(server, "available", "listed", now)

    def mark(self, server: str, state: AvailabilityState, reason: str, now: float) -> None:
        """Say whether a server's tools can be called, and why. Passes over a server that is not in the registry."""
        self._now = now
        known = self._servers.get(server)
        if known is None:
            return
        old, reason = known.availability, shortened(reason, 200)
        if (old.state, old.reason) == (state, reason):
            return
        since = old.since if old.state == state else self._wall()
        known.availability = Availability(state, since, reason)
        if old.state != state:
            self._chronicle.note(server, state, reason)
        self._chronicle.tell(RegistryChange("availability", server, availability=known.availability))

    def tools(self) -> tuple[Tool, ...]:
        """Every known tool, also of servers that are down: in server order, then listing order."""
        return self._names.tools

    def definitions(self) -> list[mcp_types.Tool]:
        """Every known tool as a listing shows it: under its shown name, without control characters.

        Without those that are refused: a model is to read nothing of them.
        """
        return [tool.shown for tool in self._names.tools if not self.acceptance.is_refused(tool)]

    def get(self, name: str) -> Tool | None:
        """The tool of a shown name, or of a server's own name while only one tool has it; None otherwise."""
        return self._names.find(name)

    def tool_at(self, server: str, target: str) -> Tool | None:
        """The tool that this server calls so."""
        return self._names.at(server, target)

    def resolve(self, name: str) -> Tool:
        """The tool `get` finds. Raises `ToolNotFound`, with the names that may have been meant, where it finds none."""
        tool = self._names.find(name)
        if tool is None:
            raise self._names.not_found(name, [name for name in self._servers if not self.has_listing(name)])
        return tool

    def has_listing(self, server: str) -> bool:
        """Whether the server has ever said what its tools are (be it none)."""
        known = self._servers.get(server)
        return known is not None and known.listing is not None

    def servers_for(self, name: str) -> tuple[str, ...]:
        """Servers not listed so far that may turn out to have a tool of this shown name, judged by their prefix."""
        return tuple(
            server
            for server, known in self._servers.items()
            if known.listing is None and name.startswith(shown_prefix(server, known.policy.prefix))
        )

    def is_available(self, name: str) -> bool:
        """Whether a call of this tool has a chance: its server is available or degraded."""
        return self.availability(name).is_callable

    def availability(self, name: str) -> Availability:
        """Whether a tool can be called, since when and why; `unknown` for a name that `get` finds nothing for."""
        tool = self._names.find(name)
        if tool is None:
            return Availability("unknown", self._born, "no tool of that name is known")
        found = self.acceptance.of(tool)
        if found is not None and found.is_refused:
            return Availability("unavailable", found.since, f"refused: {found.reason}; accept it: {found.command}")
        return self._servers[tool.server].availability

    def availability_of(self, server: str) -> Availability | None:
        """Whether a server's tools can be called, apart from those refused; None for a server that is not known."""
        known = self._servers.get(server)
        return None if known is None else known.availability

    def _rename(self, now: float | None, *, also: str = "", drifted: Mapping[str, str] | None = None) -> None:
        """Build all names anew, then tell what differs: one server's change can move names of another.

        `also` is a server that may be gone, or whose tools `drifted` (old fingerprints by its own names).
        """
        self._now = self._now if now is None else now
        old = self._names
        listings = [
            (name, known.policy, known.listing) for name, known in self._servers.items() if known.listing is not None
        ]
        new = self._names = Names(listings, self._policies, old)
        taken = {name: wanted for name, wanted in new.renamed.items() if old.renamed.get(name) != wanted}
        self._chronicle.note_tools(
            "renamed", ((new.by_name[name].server, name, f"{wanted} is taken") for name, wanted in taken.items())
        )
        judged = self.acceptance.compare(new.tools, lambda server: self._servers[server].policy.pins)
        for server in dict.fromkeys([*self._servers, *([also] if also else [])]):
            before, after = dict.fromkeys(old.of_server(server)), dict.fromkeys(new.of_server(server))
            added = tuple(name for name in after if name not in before)
            removed = tuple(name for name in before if name not in after)
            moved = drifted if drifted and server == also else {}
            changed = tuple(tool for name in after if (tool := new.by_name[name]).target in moved) if moved else ()
            if added or removed:
                self._chronicle.note(server, "changed", difference(added, removed))
                self._emit(ToolsChanged(self._now, server, added, removed, len(after)))
            self._chronicle.note_tools("drifted", ((server, tool.name, "its definition changed") for tool in changed))
            for tool in changed:
                self._emit(ToolDrifted(self._now, server, tool.name, moved[tool.target], tool.fingerprint))
            others = [tool for tool in judged if tool.server == server and tool.name in before]
            if added or removed or changed or others:
                names = tuple(dict.fromkeys(tool.name for tool in (*changed, *others)))
                self._chronicle.tell(RegistryChange("tools", server, added, removed, names))
        self.acceptance.tell(judged, self._chronicle, self._emit, self._now)
