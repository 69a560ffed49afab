"""Every request has an id nobody can guess and a record of its own."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import anyio
import pytest
from mcp.shared.dispatcher import CallOptions

from tests.unit.transport.standing_in import StandIn
from trunkline.call import Delivery
from trunkline.transport.wire import CURRENT_WIRE, REQUEST_HEADER, TrackingDispatcher, Wire, Wires

pytestmark = pytest.mark.anyio


def tracking(peer: StandIn, wires: Wires, *, ended: list[bool] | None = None) -> TrackingDispatcher:
    told = [] if ended is None else ended
    return TrackingDispatcher(peer, wires, random.Random(1), latest=deque(), on_end=lambda: told.append(True))


async def test_requests_under_way_are_known_by_ids_of_their_own_and_forgotten_after() -> None:
    peer, wires = StandIn(), Wires()
    dispatcher = tracking(peer, wires)
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(dispatcher.send_raw_request, "ping", None)
        await anyio.wait_all_tasks_blocked()
        ids = [options["request_id"] for options in peer.asked]
        assert wires.keys() == {str(request_id) for request_id in ids}
        assert [options["headers"][REQUEST_HEADER] for options in peer.asked] == [str(found) for found in ids]
        peer.answers.set()

    assert wires == {}
    numbers = [found for found in ids if isinstance(found, int)]
    assert len(set(numbers)) == 50
    assert all(0 <= number < 2**31 for number in numbers)
    # A server that counts on from the last id would hit the next request.
    assert not {number + 1 for number in numbers} & set(numbers)


async def test_a_request_fills_in_the_record_its_task_has_set() -> None:
    peer, wires, wire = StandIn(), Wires(), Wire()
    token = CURRENT_WIRE.set(wire)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tracking(peer, wires).send_raw_request, "ping", None)
        await anyio.wait_all_tasks_blocked()
        assert list(wires.values()) == [wire]
        peer.answers.set()
    CURRENT_WIRE.reset(token)


async def test_a_request_is_not_sent_before_its_transport_says_so() -> None:
    peer, wire = StandIn(), Wire()
    peer.answers.set()
    token = CURRENT_WIRE.set(wire)
    await tracking(peer, Wires()).send_raw_request("ping", None)
    CURRENT_WIRE.reset(token)

    assert wire.delivery is Delivery.NOT_SENT


async def test_a_cancelled_request_leaves_no_record() -> None:
    wires = Wires()
    with anyio.move_on_after(0.01):
        await tracking(StandIn(), wires).send_raw_request("ping", None)

    assert wires == {}


async def test_an_id_that_was_given_is_kept_and_so_are_other_options() -> None:
    peer = StandIn()
    peer.answers.set()
    opts: CallOptions = {"request_id": 5, "headers": {"x-other": "1"}}
    await tracking(peer, Wires()).send_raw_request("ping", None, opts)

    assert peer.asked[0]["request_id"] == 5
    assert peer.asked[0]["headers"] == {"x-other": "1", REQUEST_HEADER: "5"}
    assert opts == {"request_id": 5, "headers": {"x-other": "1"}}


async def _never(*_arguments: object) -> Any:
    raise AssertionError("nobody asks")


async def test_the_end_of_a_connection_is_told_however_it_ends() -> None:
    peer = StandIn()
    ended: list[bool] = []
    dispatcher = tracking(peer, Wires(), ended=ended)
    async with anyio.create_task_group() as tasks:
        await tasks.start(dispatcher.run, _never, _never)
        assert ended == []
        peer.ends.set()
    assert ended == [True]

    cancelled: list[bool] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(tracking(StandIn(), Wires(), ended=cancelled).run, _never, _never)
        tasks.cancel_scope.cancel()
    assert cancelled == [True]


async def test_notifications_pass_through() -> None:
    peer = StandIn()
    await tracking(peer, Wires()).notify("notifications/initialized", None)

    assert peer.notified == ["notifications/initialized"]
