"""Whatever happens in whatever order, the registry answers as a plain model of it does."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mcp_types import Tool as Definition

from trunkline.errors import ToolNotFound
from trunkline.events import Event, ToolDrifted, ToolsChanged
from trunkline.policy import ServerPolicy
from trunkline.registry import AvailabilityState, ToolRegistry

SERVERS = st.sampled_from(["a", "b", "c"])
TARGETS = st.sampled_from(["x", "y", "x_2", "a_x", "x!", "x?"])
LISTINGS = st.lists(st.tuples(TARGETS, st.sampled_from(["one", "two"])), max_size=4)
PREFIXES = st.sampled_from([None, "", "p"])
STATES: st.SearchStrategy[AvailabilityState] = st.sampled_from(["available", "degraded", "unavailable", "unknown"])
CLEAN = str.maketrans("!?", "__")


class RegistryAndModel(RuleBasedStateMachine):
    """The model: three dictionaries in server order, and names worked out anew for each question."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.registry = ToolRegistry(emit=self.events.append, wall=lambda: 0.0)
        self.prefixes: dict[str, str | None] = {}
        self.listings: dict[str, dict[str, str]] = {}
        self.states: dict[str, AvailabilityState] = {}
        self.seen: dict[str, dict[str, str]] = {}

    def names(self) -> dict[str, tuple[str, str]]:
        named: dict[str, tuple[str, str]] = {}
        for server, prefix in self.prefixes.items():
            before = server if prefix is None else prefix
            for target in self.listings.get(server, {}):
                wanted = (f"{before}_{target}" if before else target).translate(CLEAN)
                name, number = wanted, 2
                while name in named:
                    name, number = f"{wanted}_{number}", number + 1
                named[name] = (server, target)
        return named

    def told(self, before: dict[str, tuple[str, str]]) -> None:
        """Per server, exactly one event for the difference of names, and none without one."""
        after = self.names()
        for server in "abc":
            old = [name for name, (owner, _) in before.items() if owner == server]
            new = [name for name, (owner, _) in after.items() if owner == server]
            expected = (
                tuple(name for name in new if name not in old),
                tuple(name for name in old if name not in new),
                len(new),
            )
            told = [
                (event.added, event.removed, event.total)
                for event in self.events
                if isinstance(event, ToolsChanged) and event.server == server
            ]
            assert told == ([expected] if expected[0] or expected[1] else [])

    @rule(server=SERVERS, prefix=PREFIXES)
    def add(self, server: str, prefix: str | None) -> None:
        if server not in self.prefixes:
            self.registry.add_server(server, ServerPolicy(prefix=prefix))
            self.prefixes[server], self.states[server] = prefix, "unknown"

    @rule(server=SERVERS)
    def remove(self, server: str) -> None:
        before = self.names()
        self.events.clear()
        self.registry.remove_server(server)
        for known in (self.prefixes, self.listings, self.states, self.seen):
            known.pop(server, None)
        self.told(before)

    @rule(server=SERVERS, listing=LISTINGS)
    def update(self, server: str, listing: list[tuple[str, str]]) -> None:
        before = self.names()
        self.events.clear()
        definitions = [Definition(name=name, description=text, input_schema={}) for name, text in listing]
        self.registry.update(server, definitions, 1.0)
        if server in self.prefixes:
            self.listings[server] = dict(listing)
            memory = self.seen.setdefault(server, {})
            drifted = [name for name, text in dict(listing).items() if memory.get(name, text) != text]
            memory.update(dict(listing))
            places = {place: name for name, place in self.names().items()}
            told = [event.name for event in self.events if isinstance(event, ToolDrifted)]
            assert told == [places[server, target] for target in drifted]
            if self.states[server] == "unknown":
                self.states[server] = "available"
        self.told(before)

    @precondition(lambda self: self.prefixes)
    @rule(server=SERVERS, prefix=PREFIXES)
    def configure(self, server: str, prefix: str | None) -> None:
        before = self.names()
        self.events.clear()
        self.registry.set_policies(servers={server: ServerPolicy(prefix=prefix)})
        if server in self.prefixes:
            self.prefixes[server] = prefix
        self.told(before)

    @rule(server=SERVERS, state=STATES)
    def mark(self, server: str, state: AvailabilityState) -> None:
        self.registry.mark(server, state, "because", 1.0)
        if server in self.states:
            self.states[server] = state

    @invariant()
    def tools_are_those_of_the_model(self) -> None:
        found = [(tool.name, (tool.server, tool.target)) for tool in self.registry.tools()]
        assert found == list(self.names().items())
        texts = [self.listings[tool.server][tool.target] for tool in self.registry.tools()]
        assert [tool.definition.description for tool in self.registry.tools()] == texts

    @invariant()
    def names_mean_what_they_mean_in_the_model(self) -> None:
        named = self.names()
        for name in [*named, "x", "y", "x_2", "a_x", "x!", "nothing"]:
            meant = [place for place in named.values() if place[1] == name]
            place = named.get(name) or (meant[0] if len(meant) == 1 else None)
            tool = self.registry.get(name)
            assert (None if tool is None else (tool.server, tool.target)) == place
            try:
                assert self.registry.resolve(name) is tool
            except ToolNotFound as error:
                assert place is None
                assert "ambiguous" in str(error) or not meant
            state = "unknown" if place is None else self.states[place[0]]
            assert self.registry.availability(name).state == state
            assert self.registry.is_available(name) is (state in ("available", "degraded"))

    @invariant()
    def listings_are_those_of_the_model(self) -> None:
        assert {server for server in "abc" if self.registry.has_listing(server)} == set(self.listings)


RegistryAndModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestRegistryAndModel = RegistryAndModel.TestCase
