"""The cache in front of real sessions, in virtual time: what is asked once, what survives an outage, whose it is."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest

from tests.interaction.libraries import Library
from tests.interaction.worlds import ONCE, QUIET
from tests.servers.watching import text_of
from tests.unit.cache.shared import Shared, Tier
from trunkline import (
    CacheManager,
    CachePolicy,
    CacheSettings,
    DeadlineExceeded,
    EnhancedMCPClient,
    ListingCachePolicy,
    ServerPolicy,
    ServerSettings,
    ToolNotFound,
    ToolPolicy,
    ToolResult,
)
from trunkline.endpoint import InProcessEndpoint
from trunkline.errors import CallError
from trunkline.events import CallFinished, Event, ListingChanged, ResourceUpdated
from trunkline.fallbacks import FallbackFunction
from trunkline.policy import Era, FallbackPolicy, PoolPolicy
from trunkline.testing import ScriptedServer
from trunkline.testing.scripted_server import Step, die, fail, hang, refuse, slow, words

pytestmark = pytest.mark.anyio

KEPT = CachePolicy(ttl=10.0, stale=10.0, stale_if_error=1000.0, jitter=0.0)


class Desk:
    """A client of one server, and what it told."""

    def __init__(self, client: EnhancedMCPClient, events: list[Event]) -> None:
        self.client = client
        self.events = events

    async def read(self, n: int = 1, *, who: str | None = None, **options: Any) -> tuple[str, str]:
        """How a call of the reading tool was served, and what it was told."""
        client = self.client if who is None else self.client.for_principal(who)
        result = await client.call_tool("s_read", {"n": n}, **options)
        return result.provenance.cache, text_of(result)

    async def result(self, **options: Any) -> ToolResult:
        return await self.client.call_tool("s_read", {"n": 1}, **options)

    @property
    def circuit(self) -> Any:
        return self.client.fleet.stacks["s"].replicas[0].circuit


@asynccontextmanager
async def desk(
    server: Any,
    era: Era = "2025-11-25",
    *,
    read: CachePolicy | None = KEPT,
    tools: dict[str, ToolPolicy] | None = None,
    tier: Tier | None = None,
    partition: str | None = None,
    fallbacks: dict[str, FallbackFunction] | None = None,
    others: Iterable[ServerSettings] = (),
    **policy: Any,
) -> AsyncGenerator[Desk, None]:
    """A client of the server `s`; its tool `s_read` is kept by `read`."""
    settings = ServerSettings(
        "s", server.endpoint, ServerPolicy(**{"era": era, "health": QUIET, "retry": ONCE, **policy})
    )
    policies = {**({} if read is None else {"s_read": ToolPolicy(cache=read)}), **(tools or {})}
    cache = CacheManager(CacheSettings(partition=partition), tier=tier, rng=random.Random(3))
    events: list[Event] = []
    with anyio.fail_after(10_000.0):
        async with EnhancedMCPClient(
            [settings, *others],
            tools=policies,
            fallbacks=fallbacks,
            cache=cache,
            observers=[events.append],
            rng=random.Random(7),
        ) as client:
            yield Desk(client, events)


def numbered(count: int = 20) -> list[Step]:
    return [words(f"answer {number}") for number in range(1, count + 1)]


@pytest.mark.requirement("SEED-CACHE-2", "SEED-PURPOSE-2")
async def test_a_tool_that_the_operator_names_is_asked_once(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era) as one:
        assert [await one.read() for _ in range(3)] == [("miss", "answer 1"), *[("hit", "answer 1")] * 2]
        hit = (await one.result()).provenance
        assert (hit.server, hit.attempts, hit.degraded, hit.fallback) == ("s", 0, False, None)
        finished = [event for event in one.events if isinstance(event, CallFinished)]
        assert [(event.cache, event.server, event.attempts) for event in finished[:2]] == [
            ("miss", "s", 1),
            ("hit", "s", 0),
        ]
    assert len(server.executed) == 1


async def test_a_tool_that_nobody_names_is_asked_every_time(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era, read=None, trust_annotations=True) as one:
        assert [(await one.read())[0] for _ in range(3)] == ["bypass"] * 3
    assert len(server.executed) == 3


async def test_a_trusted_servers_reading_tools_are_kept_by_the_servers_policy(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era, read=None, trust_annotations=True, cache=CachePolicy(ttl=5.0)) as one:
        assert [(await one.read())[0] for _ in range(2)] == ["miss", "hit"]
        for _ in range(2):
            assert (await one.client.call_tool("s_write")).provenance.cache == "bypass"


class Destroyer(ScriptedServer):
    """Says of its tool `read` that it destroys something."""

    async def _list(self, context: object, params: object) -> types.ListToolsResult:
        listed = await super()._list(context, params)
        listed.tools[0].annotations = types.ToolAnnotations(read_only_hint=True, destructive_hint=True)
        return listed


@pytest.mark.requirement("CACHE-DESTRUCTIVE")
async def test_a_tool_that_says_it_destroys_is_run_every_time_whatever_the_operator_says(era: Era) -> None:
    server = Destroyer()
    async with desk(server, era, trust_annotations=True, cache=CachePolicy(ttl=5.0)) as one:
        for _ in range(3):
            await one.read()
    assert len(server.executed) == 3


@pytest.mark.requirement("P5")
async def test_two_hundred_that_miss_together_are_one_attempt(era: Era) -> None:
    server = ScriptedServer(slow(1.0))
    async with desk(server, era) as one:
        told: list[str] = []

        async def ask() -> None:
            told.append((await one.read())[0])

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)
        assert sorted(told) == ["coalesced"] * 199 + ["miss"]
    assert len(server.executed) == 1


@pytest.mark.requirement("CACHE-CANCEL")
async def test_an_impatient_caller_does_not_end_the_call_for_the_others(era: Era) -> None:
    server = ScriptedServer(slow(5.0))
    async with desk(server, era, read=CachePolicy(ttl=10.0)) as one:
        told: list[tuple[str, str]] = []

        async def wait() -> None:
            told.append(await one.read())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            with pytest.raises(DeadlineExceeded):
                await one.read(timeout=1.0)
        assert [text for _, text in told] == ["slow"]
    assert len(server.executed) == 1


async def test_callers_who_all_give_up_on_a_hanging_server_open_its_circuit(era: Era) -> None:
    async with desk(ScriptedServer(*[hang] * 9), era, read=CachePolicy(ttl=10.0)) as one:
        for _ in range(5):
            with pytest.raises(DeadlineExceeded) as raised:
                await one.read(timeout=1.0)
            assert raised.value.may_have_run
            await anyio.sleep(0.01)
        assert one.circuit.state == "open"


async def test_a_stale_answer_is_served_at_once_and_the_next_caller_has_the_new_one(era: Era) -> None:
    server = ScriptedServer(words("old"), slow(2.0))
    async with desk(server, era) as one:
        await one.read()
        await anyio.sleep(11.0)
        stale = await one.result()
        assert (text_of(stale), stale.provenance.cache, stale.provenance.degraded, stale.provenance.attempts) == (
            "old",
            "stale",
            True,
            0,
        )
        assert stale.provenance.duration == 0.0
        await anyio.sleep(3.0)
        assert await one.read() == ("hit", "slow")


@pytest.mark.parametrize(
    "steps", [[hang] * 50, [die] * 50, [refuse(-32603)] * 50], ids=["hangs", "dies", "answers with errors"]
)
async def test_through_ten_minutes_of_outage_every_call_is_answered_with_what_was_kept(steps: list[Step]) -> None:
    server = ScriptedServer(words("kept"), *steps)
    async with desk(server) as one:
        await one.read()
        await anyio.sleep(25.0)
        outcomes = set()
        for _ in range(60):
            started = anyio.current_time()
            result = await one.result(timeout=5.0)
            assert anyio.current_time() - started <= 5.0
            assert result.provenance.degraded
            outcomes.add((text_of(result), result.provenance.cache))
            await anyio.sleep(10.0)
        assert outcomes == {("kept", "stale")}
        # The server is asked again only now and then.
        assert len(server.executed) <= 1 + 600 / 30 + 1
        server.steps.clear()
        await anyio.sleep(60.0)
        assert (await one.read())[1] == "ok"


async def test_a_kept_answer_is_served_while_the_circuit_is_open_and_named_as_the_fallback(era: Era) -> None:
    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        await anyio.sleep(25.0)
        one.circuit.force_open(anyio.current_time())
        result = await one.result()
        assert (text_of(result), result.provenance.fallback, result.provenance.attempts) == ("kept", "stale", 0)
        assert one.client.cache.stats().total.kept == 1


@pytest.mark.requirement("CACHE-INVALID")
async def test_what_was_made_invalid_is_not_served_even_if_nothing_else_answers(era: Era) -> None:
    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        await anyio.sleep(25.0)
        one.circuit.force_open(anyio.current_time())
        one.client.cache.invalidate(tool="s_read", arguments={"n": 1})
        with pytest.raises(CallError):
            await one.result()


async def test_an_answer_is_not_kept_beyond_its_time(era: Era) -> None:
    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        await anyio.sleep(1021.0)
        one.circuit.force_open(anyio.current_time())
        with pytest.raises(CallError):
            await one.result()


async def test_a_no_of_the_server_is_an_answer(era: Era) -> None:
    async with desk(ScriptedServer(words("kept"), refuse(-32602)), era) as one:
        await one.read()
        await anyio.sleep(25.0)
        with pytest.raises(CallError, match="refused"):
            await one.result()


async def test_who_wants_a_new_answer_is_not_given_an_old_one(era: Era) -> None:
    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        one.circuit.force_open(anyio.current_time())
        for mode in ("refresh", "bypass"):
            with pytest.raises(CallError):
                await one.result(cache=mode)


async def test_a_current_answer_from_elsewhere_comes_first_and_a_stand_in_last(era: Era) -> None:
    other = ScriptedServer(*numbered())
    away = [ServerSettings("t", other.endpoint, ServerPolicy(health=QUIET))]
    policy = ToolPolicy(cache=KEPT, fallback=FallbackPolicy(tool="t_read", answer="static"))
    async with desk(ScriptedServer(words("kept")), era, tools={"s_read": policy}, others=away) as one:
        await one.client.list_tools()
        await one.read()
        await anyio.sleep(25.0)
        one.circuit.force_open(anyio.current_time())
        instead = (await one.result()).provenance
        assert (instead.fallback, instead.cache) == ("t_read", "bypass")
        one.client.fleet.stacks["t"].replicas[0].circuit.force_open(anyio.current_time())
        assert (await one.result()).provenance.fallback == "stale"
        one.client.cache.clear()
        assert (await one.result()).provenance.fallback == "static"


async def test_the_answers_of_a_server_that_was_removed_are_kept(era: Era) -> None:
    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        one.client.apply([])
        result = await one.result()
        assert (text_of(result), result.provenance.fallback, result.provenance.server) == ("kept", "stale", "s")
        one.client.cache.invalidate(server="s")
        with pytest.raises(ToolNotFound):
            await one.result()


async def test_another_server_under_the_same_name_is_not_given_the_old_ones_answers(era: Era) -> None:
    class Broken:
        """No MCP server at all."""

    async with desk(ScriptedServer(words("kept")), era) as one:
        await one.read()
        impatient = ServerPolicy(pool=PoolPolicy(patience=0.0, base=0.01, cap=0.02), health=QUIET)
        one.client.apply([ServerSettings("s", InProcessEndpoint(Broken()), impatient)])
        one.client.cache.stats()
        await anyio.sleep(1.0)
        with pytest.raises(CallError):
            await one.result(timeout=5.0, cache="refresh")
        with pytest.raises(CallError):
            await one.result(timeout=5.0)


async def test_a_process_that_never_reached_the_server_serves_what_others_were_answered() -> None:
    class Broken(ScriptedServer):
        """Never reached."""

    shared, server = Shared(), ScriptedServer(words("kept"))
    down = Broken()
    down.is_down = True
    pool = PoolPolicy(patience=0.0, base=0.01, cap=0.02)
    async with desk(server, tier=shared.tier(), partition="us") as here:
        await here.read()
        await anyio.sleep(25.0)
        async with desk(down, tier=shared.tier(), partition="us", pool=pool) as there:
            result = await there.result(timeout=5.0)
            assert (text_of(result), result.provenance.fallback, result.provenance.cache) == ("kept", "stale", "stale")
            with pytest.raises(CallError):
                await there.client.call_tool("s_read", {"n": 2}, timeout=5.0)
            with pytest.raises(CallError):
                await there.client.for_principal("bob").call_tool("s_read", {"n": 1}, timeout=5.0)
            here.client.cache.invalidate(server="s")
            with pytest.raises(CallError):
                await there.result(timeout=5.0)


async def test_what_a_tool_is_is_told_to_others_now_and_then_and_not_with_every_answer() -> None:
    shared = Shared()
    async with desk(ScriptedServer(*numbered()), tier=shared.tier(), partition="us") as one:
        for n in range(10):
            await one.read(n)
        assert len(shared.entries) == 10 + 1
        assert shared.tiers[0].writes == 10 + 1
        await anyio.sleep(1021.0)
        await one.read(0)
        assert shared.tiers[0].writes == 12 + 1


async def test_a_write_makes_invalid_what_its_server_told_its_principal(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era) as one:
        for who in ("ada", "bob"):
            await one.read(who=who)
        await one.client.for_principal("ada").call_tool("s_write")
        assert (await one.read(who="ada"))[0] == "miss"
        assert (await one.read(who="bob"))[0] == "hit"


@pytest.mark.parametrize("step", [hang, die, fail], ids=["hung", "died", "failed"])
async def test_a_write_that_may_have_run_counts_as_one_that_ran(step: Step) -> None:
    async with desk(ScriptedServer(words("old"), step, words("new")), attempt_timeout=2.0) as one:
        await one.read()
        try:
            await one.client.call_tool("s_write")
        except CallError as error:
            assert error.may_have_run
        await anyio.sleep(1.0)
        assert await one.read() == ("miss", "new")


async def test_a_write_that_cannot_have_run_changes_nothing(era: Era) -> None:
    async with desk(ScriptedServer(words("old")), era) as one:
        await one.read()
        one.circuit.force_open(anyio.current_time())
        with pytest.raises(CallError):
            await one.client.call_tool("s_write")
        assert (await one.read())[0] == "hit"


async def test_a_write_tool_may_name_what_it_makes_invalid(era: Era) -> None:
    tools = {
        "s_read": ToolPolicy(cache=CachePolicy(ttl=100.0, tags=("news",))),
        "s_write": ToolPolicy(cache=CachePolicy(invalidates=("weather",))),
    }
    async with desk(ScriptedServer(*numbered()), era, tools=tools) as one:
        await one.read()
        await one.client.call_tool("s_write")
        assert (await one.read())[0] == "hit"
        one.client.cache.invalidate(tag="news")
        assert (await one.read())[0] == "miss"


@pytest.mark.requirement("CACHE-PRINCIPAL")
async def test_principals_never_cross(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era) as one:
        told = {who: await one.read(who=who) for who in ("ada", "bob", None)}
        assert [outcome for outcome, _ in told.values()] == ["miss"] * 3
        assert len({text for _, text in told.values()}) == 3
        for who, (_, text) in told.items():
            assert await one.read(who=who) == ("hit", text)


async def test_a_client_bound_to_a_principal_keeps_its_domain_and_the_other_way_round() -> None:
    async with desk(ScriptedServer(*numbered())) as one:
        for bound in (
            one.client.for_domain("chat").for_principal("ada"),
            one.client.for_principal("ada").for_domain("chat"),
        ):
            await bound.call_tool("s_read", {"n": 1})
        finished = [event for event in one.events if isinstance(event, CallFinished)]
        assert [(event.domain, event.cache) for event in finished] == [("chat", "miss"), ("chat", "hit")]
        assert one.client.cache.stats().domains["chat"].hits == 1


class Drifting(ScriptedServer):
    """Its tool `read` says of itself what it is told to say."""

    description = "reads"

    async def _list(self, context: object, params: object) -> types.ListToolsResult:
        listed = await super()._list(context, params)
        listed.tools[0].description = self.description
        return listed


async def test_a_tool_that_has_become_another_is_asked_anew(era: Era) -> None:
    server = Drifting(*numbered())
    async with desk(server, era, refresh=20.0, read=CachePolicy(ttl=1000.0, stale_if_error=1000.0)) as one:
        await one.read()
        server.description = "reads something else"
        await anyio.sleep(30.0)
        assert await one.read() == ("miss", "answer 2")
        server.description = "reads"
        await anyio.sleep(30.0)
        assert await one.read() == ("miss", "answer 3")


async def test_changed_credentials_make_the_servers_answers_another_ones(era: Era) -> None:
    server = ScriptedServer(*numbered())
    async with desk(server, era) as one:
        await one.read()
        policy = one.client.fleet.policy_of("s")
        one.client.apply([ServerSettings("s", ScriptedServer(words("other")).endpoint, policy)])
        await anyio.sleep(1.0)
        assert await one.read() == ("miss", "other")


async def test_a_client_that_is_left_does_not_wait_for_a_refresh() -> None:
    server = ScriptedServer(words("old"), hang)
    async with desk(server) as one:
        await one.read()
        await anyio.sleep(11.0)
        await one.read()
        await anyio.wait_all_tasks_blocked()
        left = anyio.current_time()
    assert anyio.current_time() - left < 1.0


async def test_a_cache_that_is_not_enabled_is_not_there() -> None:
    server = ScriptedServer(*numbered())
    settings = ServerSettings("s", server.endpoint, ServerPolicy(health=QUIET))
    cache = CacheManager(CacheSettings(enabled=False))
    async with EnhancedMCPClient([settings], tools={"s_read": ToolPolicy(cache=KEPT)}, cache=cache) as client:
        told = [(await client.call_tool("s_read")).provenance.cache for _ in range(2)]
    assert told == ["bypass", "bypass"]


@asynccontextmanager
async def library(server: Library, era: Era = "2026-07-28", **policy: Any) -> AsyncGenerator[Desk, None]:
    async with desk(server, era, read=None, listings=ListingCachePolicy(**policy)) as one:
        await anyio.sleep(1.0)
        yield one


async def edition(one: Desk, uri: str = "book://1", who: str | None = None) -> str:
    client = one.client if who is None else one.client.for_principal(who)
    return (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]


async def test_listings_and_resources_are_kept_as_long_as_their_server_says() -> None:
    server = Library(ttl_ms=5_000)
    async with library(server) as one:
        for _ in range(3):
            assert len((await one.client.list_resources()).resources) == 2
            await one.client.list_resource_templates()
            await one.client.list_prompts()
            assert await edition(one) == "edition 1"
        assert sorted(server.asked) == ["list", "prompts", "read book://1", "templates"]
        assert await edition(one, "book://2") == "edition 1"
        await anyio.sleep(5.0)
        assert await edition(one) == "edition 2"


async def test_in_the_handshake_era_nothing_is_kept_by_hints_but_by_the_operators_word() -> None:
    server = Library()
    async with library(server, "2025-11-25") as one:
        for _ in range(2):
            await edition(one)
        assert server.count("read") == 2
    async with library(server, "2025-11-25", min_ttl=5.0) as one:
        for _ in range(2):
            await edition(one)
        assert server.count("read") == 3


async def test_of_several_pages_the_shortest_time_and_the_narrowest_scope_count() -> None:
    server = Library(ttl_ms=3_000, scope="private", is_paged=True)
    async with library(server, share_public=True) as one:
        for who in ("ada", "bob"):
            await one.client.for_principal(who).list_resources()
        assert server.count("list") == 4
        await anyio.sleep(2.9)
        await one.client.for_principal("ada").list_resources()
        assert server.count("list") == 4
        await anyio.sleep(0.2)
        await one.client.for_principal("ada").list_resources()
        assert server.count("list") == 6


@pytest.mark.parametrize(("share", "reads"), [(True, 1), (False, 2)])
async def test_what_a_server_calls_public_is_given_to_others_where_the_operator_agrees(share: bool, reads: int) -> None:
    server = Library(scope="public")
    async with library(server, share_public=share) as one:
        for who in ("ada", "bob"):
            await edition(one, who=who)
        assert server.count("read") == reads


async def test_what_is_public_no_longer_is_not_given_to_others_any_more() -> None:
    server = Library(scope="public")
    async with library(server, share_public=True) as one:
        await edition(one, who="ada")
        server.hints["cache_scope"] = "private"
        await one.client.for_principal("ada").read_resource("book://1")
        one.client.cache.invalidate(principal="nobody")
        await anyio.sleep(61.0)
        assert await edition(one, who="ada") == "edition 2"
        assert await edition(one, who="bob") == "edition 3"


async def test_a_changed_listing_is_listed_again_at_once_and_others_are_not(era: Era) -> None:
    server = Library()
    async with library(server, era, min_ttl=600.0) as one:
        await one.client.list_resources()
        await one.client.list_prompts()
        await edition(one)
        await one.client.call_tool("s_publish", {"changed": ["resources"]})
        await anyio.sleep(0.1)
        assert {event.listing for event in one.events if isinstance(event, ListingChanged)} == {"resources"}


async def test_a_change_that_is_told_makes_what_was_kept_invalid() -> None:
    server = Library()
    publish = {"s_publish": ToolPolicy(cache=CachePolicy(invalidates=()))}
    async with desk(server, "2026-07-28", read=None, tools=publish) as one:
        await anyio.sleep(1.0)
        await one.client.list_resources()
        await one.client.list_prompts()
        await edition(one)
        for changed, count in (("resources", 2), ("prompts", 3)):
            await one.client.call_tool("s_publish", {"changed": [changed]})
            await anyio.sleep(0.1)
            await one.client.list_resources()
            await edition(one)
            assert (server.count("list"), server.count("read")) == (count, 1)


async def test_an_updated_resource_is_read_again_and_no_other() -> None:
    server = Library()
    publish = {"s_publish": ToolPolicy(cache=CachePolicy(invalidates=()))}
    async with desk(server, "2025-11-25", read=None, tools=publish, listings=ListingCachePolicy(min_ttl=600.0)) as one:
        for uri in ("book://1", "book://2"):
            await edition(one, uri)
        await one.client.call_tool("s_publish", {"changed": ["book://1"]})
        await anyio.sleep(0.1)
        assert [event.uri for event in one.events if isinstance(event, ResourceUpdated)] == ["book://1"]
        assert [await edition(one, uri) for uri in ("book://1", "book://2")] == ["edition 2", "edition 1"]


async def test_what_may_have_changed_between_two_connections_is_asked_anew() -> None:
    server = Library()
    async with library(server) as one:
        await one.client.list_resources()
        one.client.fleet.stacks["s"].replicas[0].pool.replace("replaced by the test")
        await anyio.sleep(1.0)
        await one.client.list_resources()
        assert server.count("list") == 2


async def test_a_resource_is_served_through_an_outage_where_the_policy_keeps_it() -> None:
    server = Library(ttl_ms=1_000)
    async with library(server, stale_if_error=600.0) as one:
        await edition(one)
        await anyio.sleep(5.0)
        server.is_silent = True
        started = anyio.current_time()
        assert await edition(one) == "edition 1"
        assert anyio.current_time() - started <= 30.0
        assert await edition(one) == "edition 1"
        assert server.count("read") == 2


async def test_a_listing_policy_that_is_not_enabled_keeps_nothing() -> None:
    server = Library()
    async with library(server, enabled=False) as one:
        for _ in range(2):
            await edition(one)
        assert server.count("read") == 2
