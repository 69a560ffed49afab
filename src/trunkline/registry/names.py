"""Which tool a name means: every name at one moment, built whole whenever a listing or a policy changes.

The server configured first keeps a name that two want; the later tool gets a number. Finding a tool is one lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.errors import ToolNotFound
from trunkline.policy import ServerPolicy
from trunkline.registry.listing import Listing
from trunkline.registry.tool import MAX_NAME, Tool, is_repeatable, shown_name
from trunkline.registry.tool_policies import ToolPolicies
from trunkline.registry.wording import listed, nearest, quoted

__all__ = ["Names"]

_PLAIN = ToolPolicies()


class Names:
    """All tools of all servers, by the names callers may use. Never changed once built."""

    __slots__ = ("_by_target", "_servers", "by_name", "renamed", "tools")

    def __init__(
        self,
        servers: Iterable[tuple[str, ServerPolicy, Listing]] = (),
        policies: ToolPolicies = _PLAIN,
        previous: Names | None = None,
    ) -> None:
        """Name every tool of `servers`, in their order. Equal tools of `previous`, already compiled, are kept."""
        self.by_name: dict[str, Tool] = {}
        """Tools by shown name, in server order, then listing order."""
        self.renamed: dict[str, str] = {}
        """Shown names that were wanted differently: the name that was already taken."""
        self._by_target: dict[str, list[Tool]] = {}
        self._servers: dict[str, list[str]] = {}
        kept = {} if previous is None else previous.by_name
        for server, policy, listing in servers:
            names = self._servers.setdefault(server, [])
            for target, definition in listing.definitions.items():
                name = self._free(shown_name(server, policy.prefix, target))
                own = policies.of(name)
                repeatable = is_repeatable(definition, policy, own)
                tool = Tool(name, server, target, definition, listing.fingerprints[target], repeatable, own)
                old = kept.get(name)
                tool = old if old is not None and old == tool else tool
                self.by_name[name] = tool
                self._by_target.setdefault(target, []).append(tool)
                names.append(name)
        self.tools = tuple(self.by_name.values())

    def __repr__(self) -> str:
        return f"<Names [{len(self.tools)} tools of {len(self._servers)} servers, {len(self.renamed)} renamed]>"

    def _free(self, wanted: str) -> str:
        if wanted not in self.by_name:
            return wanted
        number = 2
        while (name := f"{wanted[: MAX_NAME - 1 - len(str(number))]}_{number}") in self.by_name:
            number += 1
        self.renamed[name] = wanted
        return name

    def of_server(self, server: str) -> Sequence[str]:
        """The shown names of one server's tools, in its order."""
        return self._servers.get(server, ())

    def find(self, name: str) -> Tool | None:
        """The tool of that shown name, else the only one its server calls so; None when there is none or several."""
        tool = self.by_name.get(name)
        if tool is None:
            meant = self._by_target.get(name, ())
            tool = meant[0] if len(meant) == 1 else None
        return tool

    def at(self, server: str, target: str) -> Tool | None:
        """The tool that this server calls so."""
        for tool in self._by_target.get(target, ()):  # asked for each call: a generator would cost more than the look
            if tool.server == server:
                return tool
        return None

    def not_found(self, name: str, unlisted: Sequence[str]) -> ToolNotFound:
        """The error for a name that `find` has no tool for; `unlisted` are servers whose tools are not known so far."""
        meant = tuple(tool.name for tool in self._by_target.get(name, ()))
        if meant:
            message = f"the tool name {quoted(name)} is ambiguous: it could mean {listed(meant)}"
        else:
            meant = nearest(name, self.by_name)
            hint = f"; did you mean {' or '.join(quoted(each) for each in meant)}?" if meant else ""
            message = f"no tool is named {quoted(name)}{hint}"
        if unlisted:
            waiting = f"{'this server has' if len(unlisted) == 1 else 'these servers have'} not listed any tools so far"
            message = f"{message}; {waiting}: {listed(unlisted)}"
        return ToolNotFound(message, suggestions=meant, tool=name)
