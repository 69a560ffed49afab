"""How one connection is judged by what is waiting on it; what comes over real ones is tried in tests/security."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from trunkline.events import Event
from trunkline.gateway.connections import bounded
from trunkline.policy import LimitsPolicy

pytestmark = pytest.mark.anyio


class Waiting(asyncio.Transport):
    """A connection on which so many bytes wait at each look; the last number stays."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self._sizes = list(sizes)
        self._socket = socket.socket()
        self.looks = 0
        self.written = b""
        self.ended = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def is_closing(self) -> bool:
        return self.ended.is_set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self._socket.close()
        self.ended.set()

    close = abort


async def app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Never called here."""


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
async def protocol(told: list[Event]) -> Any:
    limits = LimitsPolicy(connections=2, read_time=0.01)
    kind = bounded(lambda: limits, told.append)
    return kind(config=uvicorn.Config(app, http=kind, log_config=None), server_state=ServerState(), app_state={})


@pytest.fixture
def crowd() -> Iterator[list[Waiting]]:
    found: list[Waiting] = []
    yield found
    for each in found:
        each.abort()


async def test_who_reads_slowly_is_waited_for_and_who_stops_is_cut_off(protocol: Any, crowd: list[Waiting]) -> None:
    transport = Waiting(100, 90, 90, 80, 80, 80)
    crowd.append(transport)
    protocol.connection_made(transport)
    protocol.pause_writing()
    await asyncio.wait_for(transport.ended.wait(), 10)
    # Each pair is a look and the note of what is left; the last look finds nothing taken in.
    assert transport.looks == 6


async def test_who_goes_on_reading_is_not_looked_after_any_more(protocol: Any, crowd: list[Waiting]) -> None:
    transport = Waiting(100)
    crowd.append(transport)
    protocol.connection_made(transport)
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol._unread is None
    protocol.connection_lost(None)
    assert protocol._patience is None


async def test_a_connection_that_finds_no_room_is_told_when_to_come_again(
    protocol: Any, told: list[Event], crowd: list[Waiting]
) -> None:
    protocol.connections.update({object(), object()})
    transport = Waiting(0)
    crowd.append(transport)
    protocol.connection_made(transport)
    assert transport.ended.is_set()
    assert transport.written.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1\r\n" in transport.written.lower()
    assert [repr(event).partition("(")[0] for event in told] == ["RequestRefused"]
