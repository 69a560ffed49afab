"""Whether a server can be called, by what happens at each of its replicas; beside a model that asks them all."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mcp_types import Tool

from trunkline import ServerPolicy
from trunkline.events import (
    CircuitChanged,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
    ReplicaEjected,
    ReplicaReadmitted,
    ServerProbed,
)
from trunkline.registry.availability_fold import AvailabilityFold
from trunkline.registry.tool_registry import ToolRegistry

LISTING = [Tool(name="read", input_schema={"type": "object"})]


class World:
    """A registry with one server, and the replicas it has now."""

    def __init__(self, *replicas: str | None) -> None:
        self.replicas = list(replicas)
        self.registry = ToolRegistry()
        self.registry.add_server("s", ServerPolicy())
        self.registry.update("s", LISTING, 0.0)
        self.fold = AvailabilityFold(self.registry, lambda _server: self.replicas)

    def told(self, *events: Event) -> tuple[str, str]:
        for event in events:
            self.fold(event)
        found = self.registry.availability("s_read")
        return found.state, found.reason


def opened(replica: str | None) -> ConnectionOpened:
    return ConnectionOpened(0.0, "s", replica, "2026-07-28", 0.1)


def lost(replica: str | None) -> ConnectionEnded:
    return ConnectionEnded(0.0, "s", replica, "gone", 0, 0)


def test_while_one_replica_is_available_the_tools_are_callable_and_it_says_who_is_not() -> None:
    world = World("a", "b", "c")
    assert world.told(opened("a"), opened("b"), opened("c")) == ("available", "3 replicas available")
    assert world.told(lost("b")) == ("degraded", "1 of 3 replicas are not available; b: gone")
    assert world.told(lost("a"))[0] == "degraded"
    assert world.told(lost("c")) == ("unavailable", "3 of 3 replicas are not available; a: gone")
    assert world.told(opened("b"))[0] == "degraded"


def test_replicas_that_nothing_is_known_of_yet_take_nothing_away() -> None:
    assert World("a", "b").told(opened("a")) == ("available", "connected")


def test_who_is_left_out_degrades_and_is_back_when_it_is_readmitted() -> None:
    world = World("a", "b")
    world.told(opened("a"), opened("b"))
    assert world.told(ReplicaEjected(0.0, "s", "a", "5 failures in a row"))[0] == "degraded"
    assert world.told(ReplicaReadmitted(0.0, "s", "a", "5.0 s are over"))[0] == "available"


def test_a_replica_that_was_removed_says_nothing_any_more() -> None:
    world = World("a", "b")
    world.told(opened("a"), lost("b"))
    world.replicas = ["a"]
    assert world.told(lost("b")) == ("available", "connected")


def test_a_server_that_was_removed_is_forgotten() -> None:
    world = World("a", "b")
    world.told(opened("a"), lost("b"))
    world.replicas = []
    world.told(lost("a"))
    assert world.fold._known == {}


class AvailabilityBesideAModel(RuleBasedStateMachine):
    """The state of each replica is that of its latest news; the server's follows from theirs."""

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        names: list[str | None] = [None] if count == 1 else list("abcd"[:count])
        self.world = World(*names)
        self.states: dict[str | None, str] = {}

    def news(self, pick: int, event: type[Event] | Event, state: str | None) -> None:
        name = self.world.replicas[pick % len(self.world.replicas)]
        assert isinstance(event, Event)
        self.world.fold(event)
        if state is not None:
            self.states[name] = state

    def name(self, pick: int) -> str | None:
        return self.world.replicas[pick % len(self.world.replicas)]

    @rule(pick=st.integers(0, 3))
    def connects(self, pick: int) -> None:
        self.news(pick, opened(self.name(pick)), "available")

    @rule(pick=st.integers(0, 3), ready=st.integers(0, 1))
    def loses_its_connection(self, pick: int, ready: int) -> None:
        event = ConnectionEnded(0.0, "s", self.name(pick), "gone", 0, ready)
        self.news(pick, event, None if ready else "unavailable")

    @rule(pick=st.integers(0, 3), ready=st.integers(0, 1))
    def cannot_connect(self, pick: int, ready: int) -> None:
        event = ConnectFailed(0.0, "s", self.name(pick), "refused", 1, 0.1, ready)
        self.news(pick, event, None if ready else "unavailable")

    @rule(pick=st.integers(0, 3), new=st.sampled_from(["open", "half_open", "closed"]))
    def circuit_moves(self, pick: int, new: str) -> None:
        state = {"open": "unavailable", "half_open": "degraded", "closed": "available"}[new]
        self.news(pick, CircuitChanged(0.0, "s", self.name(pick), "closed", new, "so"), state)  # type: ignore[arg-type]

    @rule(pick=st.integers(0, 3), healthy=st.booleans())
    def is_probed(self, pick: int, healthy: bool) -> None:
        self.news(pick, ServerProbed(0.0, "s", self.name(pick), healthy, 0.1, ""), None)

    @precondition(lambda self: len(self.world.replicas) > 2)
    @rule()
    def one_is_removed(self) -> None:
        gone = self.world.replicas.pop()
        self.states.pop(gone, None)
        self.world.fold(opened(self.world.replicas[0]))
        self.states[self.world.replicas[0]] = "available"

    @invariant()
    def they_agree(self) -> None:
        states = set(self.states.values())
        if not states or states == {"available"}:
            expected = "available"
        else:
            expected = "unavailable" if states == {"unavailable"} else "degraded"
        assert self.world.registry.availability("s_read").state == expected


TestAvailabilityBesideAModel = AvailabilityBesideAModel.TestCase
TestAvailabilityBesideAModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
