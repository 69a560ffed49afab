"""The registry remembers what servers last said, and finds tools by the names callers use."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mcp_types import Tool as Definition
from mcp_types import ToolAnnotations

from trunkline.errors import ToolNotFound
from trunkline.events import Event, ToolDrifted, ToolsChanged
from trunkline.policy import ServerPolicy, ToolPolicy
from trunkline.registry import RegistryChange, ToolRegistry
from trunkline.registry.fingerprint import fingerprint
from trunkline.registry.listing import MAX_TOOLS

PLAIN = ServerPolicy()


def definition(name: str, **fields: Any) -> Definition:
    return Definition(name=name, **{"input_schema": {"type": "object"}, **fields})


class Watched:
    """A registry with everything it tells, and a wall clock that is set by hand."""

    def __init__(self, *servers: str, **policies: ServerPolicy) -> None:
        self.events: list[Event] = []
        self.changes: list[RegistryChange] = []
        self.wall = 1_000.0
        self.registry = ToolRegistry(emit=self.events.append, wall=lambda: self.wall)
        self.registry.subscribe(self.changes.append)
        for server in servers:
            self.registry.add_server(server, policies.get(server, PLAIN))

    def lists(self, server: str, *names: str, now: float = 1.0) -> None:
        self.registry.update(server, [definition(name) for name in names], now)

    def names(self) -> list[str]:
        return [tool.name for tool in self.registry.tools()]

    def history(self, what: str) -> list[tuple[str, str | None, str]]:
        return [(entry.server, entry.tool, entry.detail) for entry in self.registry.history if entry.what == what]


def test_tools_come_in_the_order_of_servers_then_of_listings() -> None:
    watched = Watched("b", "a")
    watched.lists("a", "z", "y")
    watched.lists("b", "x")
    assert watched.names() == ["b_x", "a_z", "a_y"]
    assert [shown.name for shown in watched.registry.definitions()] == ["b_x", "a_z", "a_y"]


def test_a_tool_is_found_by_its_shown_name_and_by_its_own_while_that_is_unique() -> None:
    watched = Watched("web", "files")
    watched.lists("web", "search")
    assert watched.registry.resolve("web_search").target == "search"
    assert watched.registry.resolve("search").name == "web_search"
    watched.lists("files", "search")
    assert watched.registry.get("search") is None
    with pytest.raises(
        ToolNotFound, match='"search" is ambiguous: it could mean "web_search", "files_search"'
    ) as raised:
        watched.registry.resolve("search")
    assert raised.value.suggestions == ("web_search", "files_search")


def test_a_shown_name_goes_before_another_tools_own_name() -> None:
    watched = Watched("a", "b", b=ServerPolicy(prefix=""))
    watched.lists("a", "search")
    watched.lists("b", "a_search", "search")
    assert watched.registry.resolve("search").server == "b"
    assert watched.registry.resolve("a_search").server == "a"


def test_an_unknown_name_is_answered_with_the_nearest_and_with_servers_not_listed_so_far() -> None:
    watched = Watched("web", "files", "notes")
    watched.lists("web", "search", "fetch")
    with pytest.raises(ToolNotFound) as raised:
        watched.registry.resolve("web_serch")
    assert str(raised.value) == (
        'no tool is named "web_serch"; did you mean "web_search" or "web_fetch"?; '
        'these servers have not listed any tools so far: "files", "notes"'
    )
    assert raised.value.tool == "web_serch"
    assert not raised.value.may_have_run


def test_a_server_that_is_down_keeps_its_last_listing() -> None:
    watched = Watched("web")
    watched.lists("web", "search")
    watched.wall = 2_000.0
    watched.registry.mark("web", "unavailable", "connection refused", now=2.0)
    assert watched.names() == ["web_search"]
    assert not watched.registry.is_available("search")
    availability = watched.registry.availability("web_search")
    assert (availability.state, availability.since, availability.reason) == (
        "unavailable",
        2_000.0,
        "connection refused",
    )


def test_availability_starts_unknown_and_begins_with_the_first_listing() -> None:
    watched = Watched("web")
    assert watched.registry.availability("web_search").state == "unknown"
    watched.lists("web", "search")
    assert watched.registry.is_available("web_search")
    watched.registry.mark("web", "degraded", "slow", now=2.0)
    assert watched.registry.is_available("web_search")
    watched.lists("web", "search", "fetch")
    assert watched.registry.availability("web_fetch").state == "degraded"


def test_a_new_reason_does_not_restart_the_time_of_a_state() -> None:
    watched = Watched("web")
    watched.lists("web", "search")
    watched.registry.mark("web", "unavailable", "refused", now=2.0)
    watched.wall = 2_000.0
    watched.registry.mark("web", "unavailable", "timed\x00 out", now=3.0)
    availability = watched.registry.availability("web_search")
    assert (availability.since, availability.reason) == (1_000.0, "timed out")
    assert watched.history("unavailable") == [("web", None, "refused")]


def test_marking_the_same_again_tells_nobody() -> None:
    watched = Watched("web")
    watched.registry.mark("web", "available", "connected", now=1.0)
    told = len(watched.changes)
    watched.registry.mark("web", "available", "connected", now=2.0)
    assert len(watched.changes) == told


def test_new_and_gone_tools_are_one_event_with_their_shown_names() -> None:
    watched = Watched("web")
    watched.lists("web", "a", "b", now=1.0)
    watched.lists("web", "b", "c", now=2.0)
    assert watched.events == [
        ToolsChanged(1.0, "web", ("web_a", "web_b"), (), 2),
        ToolsChanged(2.0, "web", ("web_c",), ("web_a",), 2),
    ]
    assert watched.changes[-1] == RegistryChange("tools", "web", ("web_c",), ("web_a",))
    assert watched.history("changed")[-1] == ("web", None, '1 added: "web_c"; 1 removed: "web_a"')


def test_an_unchanged_listing_tells_nobody_and_keeps_the_compiled_schemas() -> None:
    watched = Watched("web", "files")
    watched.lists("web", "search")
    tool = watched.registry.resolve("web_search")
    told, noted = len(watched.changes), len(watched.registry.history)
    watched.lists("web", "search", now=2.0)
    assert (len(watched.changes), len(watched.registry.history)) == (told, noted)
    watched.lists("files", "read")
    assert watched.registry.resolve("web_search") is tool


def test_a_changed_definition_is_a_drift() -> None:
    watched = Watched("web")
    old, new = definition("search", description="finds"), definition("search", description="steals")
    watched.registry.update("web", [old], 1.0)
    watched.registry.update("web", [new], 2.0)
    assert watched.events[1:] == [ToolDrifted(2.0, "web", "web_search", fingerprint(old), fingerprint(new))]
    assert watched.registry.resolve("search").definition is new
    assert watched.changes[-1].changed == ("web_search",)
    assert watched.history("drifted") == [("web", "web_search", "its definition changed")]


def test_a_tool_that_goes_and_comes_back_changed_has_drifted() -> None:
    watched = Watched("web")
    watched.registry.update("web", [definition("search", description="finds")], 1.0)
    watched.registry.update("web", [], 2.0)
    watched.registry.update("web", [definition("search", description="steals")], 3.0)
    assert [type(event) for event in watched.events[-2:]] == [ToolsChanged, ToolDrifted]


def test_a_name_two_servers_want_stays_with_the_first_configured_whoever_lists_first() -> None:
    shared = ServerPolicy(prefix="")
    watched = Watched("a", "b", a=shared, b=shared)
    watched.lists("b", "search")
    assert watched.registry.resolve("search").server == "b"
    watched.lists("a", "search")
    assert watched.registry.resolve("search").server == "a"
    assert watched.registry.resolve("search_2").server == "b"
    assert watched.history("renamed") == [("b", "search_2", "search is taken")]
    assert ToolsChanged(1.0, "b", ("search_2",), ("search",), 1) in watched.events


def test_names_that_become_equal_within_a_server_are_numbered() -> None:
    watched = Watched("web")
    watched.lists("web", "a b", "a_b", "a_b_2", "a\tb")
    assert watched.names() == ["web_a_b", "web_a_b_2", "web_a_b_2_2", "web_a_b_3"]
    assert len({tool.name for tool in watched.registry.tools()}) == 4


def test_of_tools_listed_twice_the_last_one_counts_and_it_is_noted() -> None:
    watched = Watched("web")
    twice = [definition("a", description="first"), definition("b"), definition("a", description="last")]
    watched.registry.update("web", twice, 1.0)
    assert watched.names() == ["web_a", "web_b"]
    assert watched.registry.resolve("a").definition.description == "last"
    assert watched.history("duplicate") == [("web", None, 'listed more than once, the last one counts: "a"')]


def test_an_enormous_listing_is_cut_and_it_is_noted() -> None:
    watched = Watched("web")
    started = time.monotonic()
    watched.lists("web", *(f"t{index}" for index in range(MAX_TOOLS + 5)))
    assert len(watched.registry.tools()) == MAX_TOOLS
    assert watched.history("dropped") == [("web", None, f"5 tools beyond the first {MAX_TOOLS}")]
    assert time.monotonic() - started < 20.0


def test_a_tool_without_a_json_form_is_dropped_and_it_is_noted() -> None:
    watched = Watched("web")
    looped = definition("bad")
    looped.input_schema["properties"] = looped.input_schema
    watched.registry.update("web", [looped, definition("good")], 1.0)
    assert watched.names() == ["web_good"]
    assert watched.history("dropped") == [("web", None, 'without a JSON form: "bad"')]


def test_one_servers_flood_leaves_the_history_of_others() -> None:
    watched = Watched("web", "flood")
    for round_of in range(3):
        changed = [definition(f"t{index}", description=str(round_of)) for index in range(3_000)]
        watched.registry.update("flood", changed, 1.0)
    assert ("web", None, "") in watched.history("added")
    assert watched.history("drifted")[-1] == ("flood", None, "and 2980 more")


def test_the_history_is_bounded() -> None:
    watched = Watched("web")
    for turn in range(3_000):
        watched.registry.mark("web", "available" if turn % 2 else "unavailable", "flapping", float(turn))
    assert len(watched.registry.history) == 1_000


def test_a_removed_server_takes_its_tools_along_and_frees_their_names() -> None:
    shared = ServerPolicy(prefix="")
    watched = Watched("a", "b", a=shared, b=shared)
    watched.lists("a", "search")
    watched.lists("b", "search")
    watched.registry.remove_server("a", now=5.0)
    assert watched.registry.resolve("search").server == "b"
    assert ToolsChanged(5.0, "a", (), ("search",), 0) in watched.events
    watched.registry.remove_server("a")


def test_what_arrives_late_for_a_removed_server_is_ignored() -> None:
    watched = Watched("web")
    watched.registry.remove_server("web")
    watched.lists("web", "search")
    watched.registry.mark("web", "available", "connected", now=2.0)
    assert watched.registry.tools() == ()
    assert not watched.registry.has_listing("web")


def test_adding_a_known_server_is_an_error() -> None:
    watched = Watched("web")
    with pytest.raises(ValueError, match="'web' is in the registry already"):
        watched.registry.add_server("web", PLAIN)


def test_a_server_that_listed_nothing_has_a_listing() -> None:
    watched = Watched("web")
    assert not watched.registry.has_listing("web")
    watched.lists("web")
    assert watched.registry.has_listing("web")
    assert watched.registry.is_available("web_search") is False


def test_servers_not_listed_so_far_are_named_for_the_names_they_may_have() -> None:
    watched = Watched("my web", "files", "bare", bare=ServerPolicy(prefix=""))
    assert watched.registry.servers_for("my_web_search") == ("my web", "bare")
    assert watched.registry.servers_for("search") == ("bare",)
    watched.lists("my web", "search")
    assert watched.registry.servers_for("my_web_fetch") == ("bare",)


def test_changed_policies_rename_and_reclassify_without_a_new_listing() -> None:
    watched = Watched("web")
    hinted = definition("search", annotations=ToolAnnotations(read_only_hint=True))
    watched.registry.update("web", [hinted], 1.0)
    assert not watched.registry.resolve("search").repeatable
    watched.registry.set_policies(
        servers={"web": ServerPolicy(prefix="w", trust_annotations=True), "gone": PLAIN}, now=2.0
    )
    assert watched.registry.resolve("w_search").repeatable
    assert watched.events[-1] == ToolsChanged(2.0, "web", ("w_search",), ("web_search",), 1)
    watched.registry.set_policies(tools={"w_search": ToolPolicy(idempotent=False, timeout=3.0)})
    tool = watched.registry.resolve("w_search")
    assert (tool.repeatable, tool.policy.timeout) == (False, 3.0)


def test_policies_by_shown_name_reach_their_tool() -> None:
    registry = ToolRegistry(tools={"web_search": ToolPolicy(idempotent=True)})
    registry.add_server("web", PLAIN)
    registry.update("web", [definition("search"), definition("send")], 1.0)
    assert [tool.repeatable for tool in registry.tools()] == [True, False]


def test_a_policy_under_a_pattern_reaches_every_tool_that_fits_and_a_changed_one_at_once() -> None:
    registry = ToolRegistry(tools={"web_*": ToolPolicy(idempotent=True)})
    registry.add_server("web", PLAIN)
    registry.update("web", [definition("search"), definition("send")], 1.0)
    assert [tool.repeatable for tool in registry.tools()] == [True, True]
    registry.set_policies(tools={"web_se*": ToolPolicy(timeout=3.0), "web_send": ToolPolicy(timeout=4.0)})
    assert [(tool.repeatable, tool.policy.timeout) for tool in registry.tools()] == [(False, 3.0), (False, 4.0)]


def test_the_policy_of_a_tool_no_server_has_shown_so_far_is_known() -> None:
    registry = ToolRegistry(tools={"web_*": ToolPolicy(timeout=3.0)})
    assert registry.policy_of("web_search").timeout == 3.0
    assert registry.policy_of("files_read") == ToolPolicy()


def test_a_subscriber_that_raises_costs_nobody_anything_and_is_counted() -> None:
    watched = Watched("web")

    def broken(_change: RegistryChange) -> None:
        raise RuntimeError

    watched.registry.subscribe(broken)
    later: list[RegistryChange] = []
    watched.registry.subscribe(later.append)
    watched.lists("web", "search")
    assert len(later) == len(watched.changes) == 2
    assert watched.registry.subscriber_failures == 2


def test_who_has_unsubscribed_hears_nothing_more() -> None:
    registry = ToolRegistry()
    registry.add_server("web", PLAIN)
    heard: list[RegistryChange] = []
    stop, _ = registry.subscribe(heard.append), registry.subscribe(heard.append)
    stop()
    stop()
    registry.mark("web", "available", "connected", now=1.0)
    assert len(heard) == 1


def test_a_subscriber_sees_the_change_in_force() -> None:
    registry = ToolRegistry()
    registry.add_server("web", PLAIN)
    seen: list[int] = []
    registry.subscribe(lambda _change: seen.append(len(registry.tools())))
    registry.update("web", [definition("search")], 1.0)
    assert seen == [1, 1]


def test_finding_a_tool_takes_the_same_time_among_many() -> None:
    registry = ToolRegistry()
    registry.add_server("web", PLAIN)
    registry.update("web", [definition(f"t{index}") for index in range(5_000)], 1.0)
    started = time.monotonic()
    for _ in range(10_000):
        registry.resolve("web_t4999")
    assert time.monotonic() - started < 1.0


def test_the_repr_counts_tools_and_servers_by_state() -> None:
    watched = Watched("a", "b")
    watched.lists("a", "search")
    assert repr(watched.registry) == "<ToolRegistry [1 tools, 2 servers: 1 available, 1 unknown]>"
    assert repr(ToolRegistry()) == "<ToolRegistry [0 tools, 0 servers: none]>"
