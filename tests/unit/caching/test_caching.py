"""What may be kept of a call follows from its tool, its server and the policies, and changes when they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mcp_types as types

from trunkline.cache.cache_manager import CacheManager
from trunkline.caching import Caching
from trunkline.call import Call
from trunkline.endpoint import HttpEndpoint, ServerSettings
from trunkline.events import ListingChanged, ResourceUpdated, ToolDrifted, ToolsChanged
from trunkline.kept import Kept
from trunkline.policy import CachePolicy, ListingCachePolicy, ServerPolicy, ToolPolicy
from trunkline.registry.tool_registry import ToolRegistry

KEPT = CachePolicy(ttl=10.0, stale_if_error=100.0)


@dataclass
class Served:
    """A server as the cache sees it."""

    settings: ServerSettings
    era: str = "2026-07-28"


def a_tool(name: str = "read", description: str = "", **hints: Any) -> types.Tool:
    annotations = types.ToolAnnotations.model_validate(hints) if hints else None
    return types.Tool(name=name, description=description, input_schema={"type": "object"}, annotations=annotations)


class World:
    """One server in a registry, and the plans made for it."""

    def __init__(self, *tools: types.Tool, policies: dict[str, ToolPolicy] | None = None, **policy: Any) -> None:
        given = {"s_read": ToolPolicy(cache=KEPT)} if policies is None else policies
        self.registry = ToolRegistry(tools=given)
        settings = ServerSettings("s", HttpEndpoint("https://s/mcp"), ServerPolicy(**policy))
        self.servers = {"s": Served(settings)}
        self.registry.add_server("s", settings.policy)
        if tools:
            self.registry.update("s", tools, 0.0)
        self.caching = Caching(CacheManager(), self.registry, self.servers)

    def plan(self, name: str = "s_read") -> Any:
        return self.caching.plan(shown(name))

    def digest(self) -> bytes:
        digest: bytes = self.plan().space("ada").key({}).digest
        return digest


def shown(name: str, **fields: Any) -> Call:
    """A call that has not been led to its server."""
    given = {"id": "1", "method": "tools/call", "arguments": {}, "domain": "d", "started": 0.0, "deadline": 1.0}
    return Call(name=name, **{**given, **fields})


def content(method: str, target: str = "s", server: str = "s") -> Call:
    return shown(target, method=method, server=server, target=target)


def test_a_plan_is_made_once() -> None:
    world = World(a_tool())
    assert world.plan() is world.plan("read") is world.caching.plan(shown("x", server="s", target="read"))
    assert "[1 plans]" in repr(world.caching)


def test_a_tool_that_nobody_knows_has_no_plan() -> None:
    assert World(a_tool()).plan("s_gone") is None
    assert World(a_tool()).caching.plan(shown("s_read", server="t", target="read")) is None


def test_whatever_changes_the_answer_changes_the_key() -> None:
    digests = {World(a_tool()).digest(), World(a_tool(description="other")).digest()}
    other_place = World(a_tool())
    settings = replace(other_place.servers["s"].settings, endpoint=HttpEndpoint("https://t/mcp"))
    other_place.servers["s"] = Served(settings)
    digests.add(other_place.digest())
    other_era = World(a_tool())
    other_era.servers["s"].era = "2025-11-25"
    digests.add(other_era.digest())
    assert len(digests) == 4
    assert World(a_tool()).digest() in digests


def test_an_era_a_policy_and_a_listing_that_change_are_heeded_at_once() -> None:
    world = World(a_tool())
    first = world.digest()
    world.servers["s"].era = "2025-11-25"
    assert world.digest() != first
    world.registry.update("s", [a_tool(description="other")], 1.0)
    assert world.digest() != first
    world.registry.set_policies(tools={})
    assert world.plan().policy is None
    trusting = ServerPolicy(trust_annotations=True, cache=CachePolicy(ttl=3.0))
    world.servers["s"] = Served(replace(world.servers["s"].settings, policy=trusting))
    world.registry.update("s", [a_tool(readOnlyHint=True)], 2.0)
    assert world.plan().policy.ttl == 3.0


def test_a_tool_that_is_not_known_to_read_makes_its_servers_answers_invalid() -> None:
    world = World(a_tool(), a_tool("write"), a_tool("look", readOnlyHint=True))
    assert [world.plan(name).invalidates for name in ("s_read", "s_write", "s_look")] == [(), None, None]
    trusting = World(a_tool("look", readOnlyHint=True), trust_annotations=True)
    assert trusting.plan("s_look").invalidates == ()
    named = World(a_tool("write"), policies={"s_write": ToolPolicy(cache=CachePolicy(invalidates=("news",)))})
    assert named.plan("s_write").invalidates == ("news",)


def test_listings_and_resources_have_plans_of_their_own_and_the_rest_has_none() -> None:
    world = World(listings=ListingCachePolicy(max_ttl=50.0, stale=1.0, stale_if_error=2.0))
    read, listed = world.caching.plan(content("resources/read", "a://1")), world.caching.plan(content("prompts/list"))
    assert read is not None
    assert listed is not None
    assert read.policy == listed.policy == CachePolicy(ttl=50.0, stale=1.0, stale_if_error=2.0, jitter=0.0)
    assert read is not world.caching.plan(content("resources/read", "a://2"))
    assert read is world.caching.plan(content("resources/read", "a://1"))
    for method in ("prompts/get", "completion/complete"):
        assert world.caching.plan(content(method)) is None
    assert world.caching.plan(content("resources/read", "a://1", "gone")) is None


def test_a_listing_policy_that_is_not_enabled_makes_no_plan() -> None:
    assert World(listings=ListingCachePolicy(enabled=False)).caching.plan(content("resources/list")) is None


def is_held(world: World, plan: Any, event: Any) -> bool:
    key = plan.space("ada").key({})
    captured = world.caching.cache.tiers.versions.current(key.tags)
    world.caching(event)
    return world.caching.cache.tiers.versions.match(key.tags, captured) is True


def test_what_a_server_tells_of_changes_makes_just_that_invalid() -> None:
    world = World(a_tool())
    tool = world.plan()
    book = world.caching.plan(content("resources/read", "a://1"))
    listing = world.caching.plan(content("resources/list"))
    drifted, other_drifted = (ToolDrifted(0.0, "s", name, "a", "b") for name in ("s_read", "s_other"))
    gone, more = ToolsChanged(0.0, "s", (), ("s_read",), 0), ToolsChanged(0.0, "s", ("s_new",), (), 2)
    listings, other = ListingChanged(0.0, "s", None, "resources"), ListingChanged(0.0, "t", None, "resources")
    updated, other_updated = (ResourceUpdated(0.0, "s", None, uri) for uri in ("a://1", "a://2"))
    for plan, breaks, leaves in (
        (tool, [drifted, gone], [other_drifted, more, listings, updated]),
        (book, [updated], [other_updated, listings, drifted]),
        (listing, [listings], [other, updated, drifted]),
    ):
        assert all(is_held(world, plan, event) for event in leaves)
        assert not any(is_held(world, plan, event) for event in breaks)


def test_tools_that_go_with_their_server_are_not_invalid_by_it() -> None:
    world = World(a_tool())
    plan = world.plan()
    del world.servers["s"]
    assert is_held(world, plan, ToolsChanged(0.0, "s", (), ("s_read",), 0))


def test_a_tool_that_went_with_its_server_is_remembered_and_not_taken_for_that_of_another() -> None:
    world = World(a_tool())
    plan = world.plan()
    world.registry.remove_server("s")
    served = world.servers.pop("s")
    assert world.caching.known(shown("s_read")) is plan
    world.servers["s"] = served
    assert world.caching.known(shown("s_read")) is plan
    settings = replace(served.settings, endpoint=HttpEndpoint("https://other/mcp"))
    world.servers["s"] = Served(settings)
    assert world.caching.known(shown("s_read")) is None


def test_calls_that_can_have_nothing_kept_have_no_rung() -> None:
    world = World(a_tool(), a_tool("write"))
    kept = Kept(world.caching)
    for call in (shown("s_write"), shown("s_read", cache="refresh"), shown("s_gone"), content("prompts/get")):
        assert kept.rung(call) == []


def test_the_plans_are_bounded() -> None:
    world = World()
    for number in range(16_500):
        world.caching.plan(content("resources/read", f"a://{number}"))
    assert len(world.caching._plans) <= 16_384
