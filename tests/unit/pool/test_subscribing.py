"""Resources that somebody watches: servers are asked to tell, again after each end, and what was missed is told."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import anyio
import pytest

from tests.servers.telling import Telling
from tests.unit.pool.watched import POLICY, opened
from tests.unit.pool.watched import Watched as WatchedConnection
from trunkline.policy import Era
from trunkline.pool.subscribing import Watched

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
A, B, C = "file:///a", "file:///b", "file:///c"


def watched(*uris: str) -> Watched:
    resources = Watched()
    for uri in uris:
        resources.set(uri, wanted=True)
    return resources


@ERAS
async def test_updates_of_what_was_watched_before_the_connection_opened_are_told(era: Era) -> None:
    server = Telling()
    connection = WatchedConnection(server.endpoint, era=era, resources=watched(A))
    async with opened(connection):
        await anyio.sleep(1.0)
        assert connection.changes == []
        await server.update(A)
        await server.update(B)
        await anyio.sleep(0.01)

        assert connection.changes == [("resources", A)]
        assert len(server.asked) == 1


@ERAS
async def test_what_is_watched_from_then_on_is_asked_for_and_what_is_not_any_more_is_ended(era: Era) -> None:
    server, resources = Telling(), Watched()
    async with opened(WatchedConnection(server.endpoint, era=era, resources=resources)):
        await anyio.sleep(10.0)
        assert server.asked == []
        for uri, wanted, subscribed in ((A, True, {A}), (B, True, {A, B}), (A, False, {B}), (B, False, set[str]())):
            resources.set(uri, wanted=wanted)
            assert repr(resources) == f"<Watched [{len(subscribed)} resources]>"
            await anyio.sleep(0.01)
            assert server.subscribed == subscribed
        await anyio.sleep(10.0)

    told = [(kind, uris) for _, kind, uris in server.asked]
    if era == "2026-07-28":
        assert told == [("listen", (A,)), ("listen", (A, B)), ("listen", (B,))]
    else:
        assert told == [("subscribe", (A,)), ("subscribe", (B,)), ("unsubscribe", (A,)), ("unsubscribe", (B,))]


@ERAS
async def test_a_server_that_tells_of_no_updates_is_not_asked_to(era: Era) -> None:
    server = Telling(tells=False)
    async with opened(WatchedConnection(server.endpoint, era=era, resources=watched(A))) as connection:
        await anyio.sleep(1000.0)
        assert (server.asked, connection.state) == ([], "ready")


@ERAS
async def test_what_may_have_changed_between_two_connections_is_told_once_the_second_hears_of_it(era: Era) -> None:
    server, resources = Telling(), watched(A, B, C)
    server.refused = {C}
    if era == "2026-07-28":
        resources.set(C, wanted=False)
    first = WatchedConnection(server.endpoint, era=era, resources=resources)
    async with opened(first):
        await anyio.sleep(1.0)
        resources.set(B, wanted=False)
        await anyio.sleep(1.0)
    resources.set(B, wanted=True)
    resources.set(C, wanted=True)
    server.refused = set()
    second = WatchedConnection(server.endpoint, era=era, resources=resources)
    async with opened(second):
        await anyio.sleep(1.0)
        assert server.subscribed == {A, B, C}

    # Of B nobody wanted to hear in between, and of C nobody has heard so far.
    assert second.changes == [("resources", A)]


async def test_what_may_have_changed_while_one_stream_took_the_place_of_another_is_told() -> None:
    server, resources = Telling(), watched(A)
    connection = WatchedConnection(server.endpoint, era="2026-07-28", resources=resources)
    async with opened(connection):
        await anyio.sleep(1.0)
        resources.set(B, wanted=True)
        await anyio.sleep(1.0)

    assert connection.changes == [("resources", A)]


@ERAS
async def test_a_server_that_refuses_to_tell_is_asked_ever_more_rarely_and_once_a_minute_at_last(era: Era) -> None:
    server = Telling()
    server.refused = {A}
    async with opened(WatchedConnection(server.endpoint, era=era, resources=watched(A))) as connection:
        await anyio.sleep(1000.0)
        assert connection.state == "ready"

    times = [at for at, _, uris in server.asked if uris == (A,)]
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == [pytest.approx(pause) for pause in [2.0, 4.0, 8.0, 16.0, 32.0] + [60.0] * (len(pauses) - 5)]
    assert len(pauses) > 15


async def test_a_stream_that_ends_is_asked_for_again_the_sooner_the_longer_it_held() -> None:
    server = Telling()
    connection = WatchedConnection(server.endpoint, replace(POLICY, refresh=1e6), "2026-07-28", watched(A))
    async with opened(connection):
        for held, pause in ((10.0, 2.0), (59.0, 4.0), (59.0, 8.0), (61.0, 1.0), (10.0, 2.0)):
            await anyio.sleep(held)
            server.stop_telling()
            before, connection.changes[:] = anyio.current_time(), []
            await anyio.sleep(pause + 0.01)
            assert server.asked[-1][0] - before == pytest.approx(pause)
            assert ("resources", A) in connection.changes


async def test_a_resource_of_which_a_server_will_not_tell_does_not_stand_in_the_way_of_others() -> None:
    server, resources = Telling(), watched(A, B, C)
    server.refused = {A, C}
    async with opened(WatchedConnection(server.endpoint, era="2025-11-25", resources=resources)):
        await anyio.sleep(0.01)
        assert server.subscribed == {B}
        server.refused = {A, B}
        await anyio.sleep(2.0)
        assert server.subscribed == {B, C}
        resources.set(B, wanted=False)
        resources.set("file:///d", wanted=True)
        await anyio.sleep(0.01)
        assert "file:///d" in server.subscribed


async def test_others_wait_ten_seconds_for_a_resource_about_which_a_server_does_not_answer() -> None:
    server = Telling()
    server.ignored = {A}
    async with opened(WatchedConnection(server.endpoint, era="2025-11-25", resources=watched(A, B))):
        await anyio.sleep(10.1)
        assert server.subscribed == {B}
        server.ignored = set()
        await anyio.sleep(2.0)

    asked = [at for at, _, uris in server.asked if uris == (A,)]
    assert [later - asked[0] for later in asked[1:]] == [pytest.approx(12.0)]
    assert server.subscribed == {A, B}


async def test_a_server_that_tells_of_all_again_is_not_punished_for_its_past() -> None:
    server, resources = Telling(), watched(A)
    server.refused = {A, B}
    async with opened(WatchedConnection(server.endpoint, era="2025-11-25", resources=resources)):
        await anyio.sleep(100.0)
        server.refused = {B}
        await anyio.sleep(60.0)
        assert server.subscribed == {A}
        resources.set(B, wanted=True)
        await anyio.sleep(7.0)

    asked = [at for at, _, uris in server.asked if uris == (B,)]
    assert [later - sooner for sooner, later in pairwise(asked)] == [pytest.approx(2.0), pytest.approx(4.0)]


@ERAS
async def test_a_server_that_refused_is_asked_at_once_for_what_is_watched_from_then_on(era: Era) -> None:
    server, resources = Telling(), watched(A)
    server.refused = {A}
    async with opened(WatchedConnection(server.endpoint, era=era, resources=resources)):
        await anyio.sleep(100.0)
        server.refused = set()
        before = len(server.asked)
        resources.set(B, wanted=True)
        await anyio.sleep(0.01)
        assert server.subscribed == {A, B}
        assert len(server.asked) <= before + 2
