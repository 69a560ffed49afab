"""The stream of changes: one look for all viewers, nothing kept for any of them, and no number told too often."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.servers.watching import eventually
from trunkline.gateway.broadcast import Broadcast
from trunkline.gateway.merge_patch import patched
from trunkline.gateway.turns import ROWS, Turns

pytestmark = pytest.mark.anyio


def parsed(piece: bytes) -> list[tuple[int, str, dict[str, Any]]]:
    """The events in what a viewer is told: id, type and data."""
    found = []
    for text in piece.decode("ascii").split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in text.splitlines())
        found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


class World:
    """Something to look at, which changes with every look."""

    def __init__(self) -> None:
        self.looks = 0
        self.failures: list[Exception] = []
        self.breaks = False
        self.broadcast = Broadcast(self.look, failed=self.failures.append)

    def look(self) -> dict[str, Any]:
        self.looks += 1
        if self.breaks:
            raise ZeroDivisionError
        return {"looks": self.looks, "still": {"a": 1}}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.broadcast.run)
            yield
            tasks.cancel_scope.cancel()


async def after(stream: AsyncGenerator[bytes, None], events: int) -> dict[str, Any]:
    """The view after so many events, by applying what is told."""
    view: dict[str, Any] = {}
    seen = 0
    with anyio.fail_after(20):
        async for piece in stream:
            for _, kind, data in parsed(piece):
                view = data if kind == "view" else patched(view, data)
                seen += 1
            if seen >= events:
                return view
    raise AssertionError


async def test_a_viewer_is_told_everything_first_and_then_only_what_changed() -> None:
    world = World()
    async with world.running(), aclosing(world.broadcast.follow()) as stream:
        ((first, kind, data),) = parsed(await anext(stream))
        assert (kind, data) == ("view", {"looks": 1, "still": {"a": 1}})
        ((second, kind, data),) = parsed(await anext(stream))
        assert (second, kind, data) == (first + 1, "patch", {"looks": 2})


async def test_many_viewers_cost_one_look_and_read_the_same_bytes() -> None:
    world = World()
    views: list[dict[str, Any]] = []

    async def watch() -> None:
        async with aclosing(world.broadcast.follow()) as stream:
            views.append(await after(stream, 2))

    async with world.running():
        async with anyio.create_task_group() as watching:
            for _ in range(20):
                watching.start_soon(watch)
        assert world.broadcast.viewers == 0
    assert len(views) == 20
    assert all(view == views[0] for view in views)
    assert world.looks <= 3


async def test_nobody_looks_while_nobody_watches_and_a_view_asked_for_is_fresh() -> None:
    world = World()
    async with world.running():
        await anyio.wait_all_tasks_blocked()
        assert world.looks == 0
        assert world.broadcast.view()["looks"] == 1
        assert world.broadcast.view()["looks"] == 1, "a second look within the second"


async def test_a_viewer_that_fell_behind_is_told_everything_anew_instead_of_having_its_backlog_kept() -> None:
    world = World()
    async with aclosing(world.broadcast.follow()) as stream:
        await anext(stream)
        for _ in range(50):
            world.broadcast._tell()
        ((number, kind, data),) = parsed(await anext(stream))
    assert (number, kind, data["looks"]) == (51, "view", 51)


async def test_a_viewer_a_little_behind_is_told_every_patch_it_missed() -> None:
    world = World()
    async with aclosing(world.broadcast.follow()) as stream:
        await anext(stream)
        for _ in range(3):
            world.broadcast._tell()
        assert [event[0] for event in parsed(await anext(stream))] == [2, 3, 4]


async def test_a_look_that_raises_is_told_to_whom_it_concerns_and_ends_no_stream() -> None:
    world = World()
    async with world.running(), aclosing(world.broadcast.follow()) as stream:
        await anext(stream)
        world.breaks = True
        await eventually(lambda: bool(world.failures))
        world.breaks = False
        with anyio.fail_after(10):
            assert b"patch" in await anext(stream)


async def test_closing_ends_every_stream() -> None:
    world = World()
    async with aclosing(world.broadcast.follow()) as stream:
        await anext(stream)
        world.broadcast.close()
        with anyio.fail_after(5):
            assert [piece async for piece in stream] == []
    assert world.broadcast.viewers == 0


def rows(count: int, **row: Any) -> dict[str, Any]:
    return {f"s{number}": dict(row) for number in range(count)}


def test_numbers_of_many_rows_are_told_in_turn_and_each_within_few_looks() -> None:
    turns, told = Turns(), set[str]()
    for _ in range(5):
        patch = turns.taken({"servers": rows(5 * ROWS, rate=1.5), "at": 1})
        assert patch["at"] == 1
        assert len(patch["servers"]) == ROWS
        told |= patch["servers"].keys()
    assert len(told) == 5 * ROWS


def test_a_change_of_state_is_told_at_once_whatever_else_changes() -> None:
    patch = {"servers": rows(300, rate=1.5) | {"bad": {"state": "down", "rate": 0.0}, "gone": None}}
    kept = Turns().taken(patch)["servers"]
    assert kept["bad"] == {"state": "down", "rate": 0.0}
    assert kept["gone"] is None
    assert len(kept) == ROWS + 2


def test_few_rows_are_told_all() -> None:
    patch = {"servers": rows(ROWS, rate=1.0)}
    assert Turns().taken(patch) == patch
