"""A connection's listing: as new as the server's word, refreshed now and then, and never lost to a bad answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import anyio
import pytest

from tests.servers.changing import Changing
from tests.servers.embedded import FOREVER
from tests.servers.telling import Telling
from tests.unit.pool.watched import POLICY, Watched, opened
from trunkline.policy import Era

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-CLIENT-2")]

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])


@ERAS
async def test_every_change_the_server_tells_of_is_listed_at_once(era: Era) -> None:
    server = Changing("a")
    watched = Watched(server.endpoint, era=era)
    async with opened(watched):
        for names in (["a", "b"], ["b"], ["b", "c"]):
            await anyio.sleep(1.0)
            await server.change(*names)
            await anyio.sleep(0.01)
            assert watched.listings[-1] == names
            assert watched.listings.count(names) == 1

    assert server.watching == 0


@ERAS
async def test_a_server_that_says_all_the_time_that_it_changed_is_listed_once_a_second_and_not_missed_at_last(
    era: Era,
) -> None:
    server = Changing("a")
    watched = Watched(server.endpoint, era=era)
    async with opened(watched):
        before = len(server.listed)
        for number in range(1000):
            await server.change(f"a{number}")
            await anyio.sleep(0.01)
        listed = len(server.listed) - before
        await anyio.sleep(2.0)

    assert 10 <= listed <= 17
    assert watched.listings[-1] == ["a999"]


async def test_what_changed_before_the_server_began_to_tell_of_changes_is_not_missed() -> None:
    server = Changing("a")
    server.changes_before_telling = ("a", "b")
    watched = Watched(server.endpoint)
    async with opened(watched):
        await anyio.sleep(1.0)

    assert watched.listings == [["a"], ["a", "b"]]


async def test_refreshes_are_spread_by_a_fifth_around_their_interval() -> None:
    server = Changing("a", tells=False)
    async with opened(Watched(server.endpoint)):
        await anyio.sleep(10_000.0)

    pauses = [later - sooner for sooner, later in pairwise(server.listed)]
    assert len(pauses) > 90
    assert min(pauses) == pytest.approx(80.0, abs=4.0)
    assert max(pauses) == pytest.approx(120.0, abs=2.0)
    assert all(80.0 <= pause <= 120.0 for pause in pauses)


@ERAS
async def test_a_listing_that_is_refused_leaves_the_last_good_one_and_the_next_is_taken(era: Era) -> None:
    server = Changing("a")
    watched = Watched(server.endpoint, era=era)
    async with opened(watched) as connection:
        await anyio.sleep(1.0)
        server.refuses_listing = True
        await server.change("b")
        await anyio.sleep(1.0)
        assert (watched.listings[-1], connection.state) == (["a"], "ready")
        server.refuses_listing = False
        await server.change("c")
        await anyio.sleep(0.01)
        assert watched.listings[-1] == ["c"]


@ERAS
async def test_a_listing_may_take_as_long_as_a_connect_and_is_then_given_up(era: Era) -> None:
    server = Changing("a")
    watched = Watched(server.endpoint, era=era)
    async with opened(watched) as connection:
        await anyio.sleep(1.0)
        server.pauses.append(4.9)
        await server.change("b")
        await anyio.sleep(5.0)
        assert watched.listings[-1] == ["b"]
        server.pauses.append(FOREVER)
        await server.change("c")
        await anyio.sleep(4.9)
        assert watched.listings[-1] == ["b"]
        await anyio.sleep(0.2)
        assert watched.listings[-1] == ["b"]
        await server.change("d")
        await anyio.sleep(0.01)
        assert watched.listings[-1] == ["d"]
        assert connection.state == "ready"


async def test_a_subscription_that_ends_is_opened_again_in_about_a_second_and_what_was_missed_is_listed() -> None:
    server = Changing("a")
    watched = Watched(server.endpoint)
    async with opened(watched):
        for _ in range(30):
            await anyio.sleep(10.0)
            server.stop_telling()
            server.tools.append("b")
            before = anyio.current_time()
            await anyio.sleep(1.25)
            assert server.watching == 1
            assert 0.8 <= server.watched[-1] - before <= 1.2
            assert len(watched.listings[-1]) == len(server.tools)

    assert len(server.watched) == 31


async def test_a_server_that_lets_nobody_watch_is_asked_ever_more_rarely() -> None:
    server = Changing("a")
    server.refuses_watching = True
    policy = replace(POLICY, refresh=50.0)
    async with opened(Watched(server.endpoint, policy)):
        await anyio.sleep(2000.0)

    pauses = [later - sooner for sooner, later in pairwise(server.watched)]
    wanted = [2.0, 4.0, 8.0, 16.0, 32.0] + [50.0] * (len(pauses) - 5)
    spread = [pause / nominal for pause, nominal in zip(pauses, wanted, strict=True)]
    assert len(pauses) > 35
    assert all(0.8 <= part <= 1.2 for part in spread)
    assert min(spread) < 0.83
    assert max(spread) > 1.17


async def test_a_server_that_can_be_watched_again_is_not_punished_for_its_past() -> None:
    server = Changing("a")
    server.refuses_watching = True
    async with opened(Watched(server.endpoint)):
        await anyio.sleep(40.0)
        server.refuses_watching = False
        await anyio.sleep(200.0)
        assert server.watching == 1
        server.stop_telling()
        await anyio.sleep(1.25)
        assert server.watching == 1


@ERAS
async def test_a_server_that_tells_of_nothing_is_listed_once_per_interval_only(era: Era) -> None:
    server = Changing("a", tells=False)
    async with opened(Watched(server.endpoint, era=era)):
        await anyio.sleep(79.0)

    assert (len(server.listed), server.watched) == (1, [])


@ERAS
async def test_a_change_that_the_server_does_not_tell_of_is_found_at_the_next_refresh(era: Era) -> None:
    server = Changing("a", tells=False)
    watched = Watched(server.endpoint, era=era)
    async with opened(watched):
        server.tools.append("b")
        await anyio.sleep(79.0)
        assert len(watched.listings) == 1
        await anyio.sleep(42.0)

        assert watched.listings == [["a"], ["a", "b"]]


@ERAS
async def test_changes_of_prompts_and_resources_are_passed_on_and_the_tools_alone_are_listed_again(era: Era) -> None:
    server = Telling()
    watched = Watched(server.endpoint, era=era)
    async with opened(watched):
        await anyio.sleep(1.0)
        await server.relist("prompts")
        await server.relist("resources")
        await anyio.sleep(0.01)
        assert watched.changes == [("prompts", None), ("resources", None)]
        await server.change("b")
        await anyio.sleep(0.01)

    assert len(watched.changes) == 2
    assert watched.listings[-1] == ["b"]


async def test_every_listing_may_have_changed_while_a_subscription_was_lost_and_none_before_the_first() -> None:
    server = Telling()
    watched = Watched(server.endpoint, era="2026-07-28")
    async with opened(watched):
        await anyio.sleep(10.0)
        assert (watched.changes, watched.listings) == ([], [["a"], ["a"]])
        server.stop_telling()
        await anyio.sleep(2.0)

        assert watched.changes == [("prompts", None), ("resources", None)]
        assert watched.listings == [["a"]] * 3
