"""Messages go out in order without their senders waiting, and what is given up in time is never sent."""

from __future__ import annotations

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from trunkline.transport import outbox as module
from trunkline.transport.outbox import Outbox

pytestmark = pytest.mark.anyio


def request(request_id: int | str) -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=request_id, method="tools/call"))


def cancel(request_id: int | str) -> SessionMessage:
    params = {"requestId": request_id}
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))


async def test_messages_are_taken_in_the_order_they_were_sent() -> None:
    outbox, messages = Outbox(), [request(number) for number in range(3)]
    for message in messages:
        await outbox.send(message)

    assert [await outbox.take() for _ in messages] == messages


async def test_a_taker_waits_for_the_next_message() -> None:
    outbox, taken = Outbox(), []

    async def take() -> None:
        taken.append(await outbox.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        await outbox.send(message := request(1))

    assert taken == [message]


async def test_a_request_given_up_before_it_was_taken_is_withdrawn_with_its_cancel() -> None:
    outbox = Outbox()
    for message in (request(1), request(2), cancel(1)):
        await outbox.send(message)

    assert len(outbox) == 1
    assert (await outbox.take()).message == request(2).message


async def test_the_cancel_of_a_request_that_was_taken_goes_out() -> None:
    outbox = Outbox()
    await outbox.send(request(1))
    await outbox.take()
    await outbox.send(cancel(1))

    assert (await outbox.take()).message == cancel(1).message


async def test_a_closed_outbox_takes_nothing_and_gives_what_it_has() -> None:
    async with Outbox() as outbox:
        await outbox.send(request(1))

    with pytest.raises(anyio.ClosedResourceError):
        await outbox.send(request(2))
    assert (await outbox.take()).message == request(1).message
    with pytest.raises(anyio.EndOfStream):
        await outbox.take()


async def test_closing_wakes_the_taker() -> None:
    outbox, ended = Outbox(), []

    async def take() -> None:
        with pytest.raises(anyio.EndOfStream):
            await outbox.take()
        ended.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        await outbox.aclose()

    assert ended == [True]


async def test_a_server_that_has_stopped_reading_gets_no_queue_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIMIT", 2)
    outbox = Outbox()
    await outbox.send(request(1))
    await outbox.send(request(2))

    with pytest.raises(anyio.BrokenResourceError):
        await outbox.send(request(3))
    assert len(outbox) == 2


async def test_a_cancelled_taker_loses_no_message() -> None:
    outbox = Outbox()
    with anyio.move_on_after(0):
        await outbox.take()
    await outbox.send(message := request(1))

    assert await outbox.take() is message
