"""The proxy is transparent until it is told otherwise; each fault does what it says, and `heal` ends it."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from trunkline.testing import FaultProxy

pytestmark = pytest.mark.anyio

SOON = 10.0


@asynccontextmanager
async def echo() -> AsyncGenerator[int, None]:
    """A server that says everything again; its port."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def proxied() -> AsyncGenerator[FaultProxy, None]:
    with anyio.fail_after(SOON):
        async with echo() as port, FaultProxy("127.0.0.1", port, rng=random.Random(1)) as proxy:
            yield proxy


async def said(stream: SocketStream, data: bytes) -> bytes:
    """What comes back for `data`, until as much has come or the connection has ended."""
    heard = b""

    async def listen() -> None:
        nonlocal heard
        while len(heard) < len(data):
            try:
                heard += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await stream.send(data)
    return heard


async def test_without_a_fault_every_byte_passes_as_it_is_and_is_counted() -> None:
    data = random.Random(7).randbytes(1_000_000)
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        assert await said(stream, data) == data
        assert proxy.forwarded == 2 * len(data)
        assert (proxy.accepted, proxy.open) == (1, 1)


async def test_an_orderly_end_is_passed_on() -> None:
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_latency_holds_data_back_in_each_direction() -> None:
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        assert await said(stream, b"before") == b"before"
        proxy.latency, began = 0.05, time.monotonic()
        assert await said(stream, b"late") == b"late"
        assert time.monotonic() - began >= 0.1


async def test_a_pace_spreads_data_over_time() -> None:
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        proxy.bytes_per_second, began = 100_000, time.monotonic()
        assert len(await said(stream, b"x" * 10_000)) == 10_000
        assert time.monotonic() - began >= 0.2


async def test_a_cut_resets_what_is_open_and_nothing_that_comes_later() -> None:
    async with proxied() as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await said(stream, b"before") == b"before"
            proxy.cut()
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await said(stream, b"after") == b"after"


async def test_an_answer_is_cut_after_so_many_bytes() -> None:
    async with proxied() as proxy:
        proxy.cut_after = 1000
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert len(await said(stream, b"x" * 5000)) <= 1000
        proxy.heal()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert len(await said(stream, b"x" * 5000)) == 5000


async def test_a_refusing_proxy_takes_no_connection() -> None:
    async with proxied() as proxy:
        proxy.is_refusing = True
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await stream.receive()
        assert (proxy.accepted, proxy.open) == (1, 0)


async def test_in_a_black_hole_nothing_comes_and_nothing_ends_until_it_is_healed() -> None:
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        assert await said(stream, b"before") == b"before"
        proxy.freeze()
        await stream.send(b"held")
        with anyio.move_on_after(0.1) as waiting:
            await stream.receive()
        assert waiting.cancelled_caught
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as other:
            await other.send(b"new")
            proxy.heal()
            assert await stream.receive() == b"held"
            assert await other.receive() == b"new"


async def test_one_of_so_many_bytes_is_changed_and_the_length_stays() -> None:
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        proxy.corrupt_every = 100
        heard = await said(stream, b"\0" * 10_000)
    assert len(heard) == 10_000
    assert [place for place, byte in enumerate(heard) if byte] == list(range(0, 10_000, 100))


async def test_one_byte_slipped_in_shifts_the_rest() -> None:
    data = bytes(range(200))
    async with proxied() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        proxy.insert_at = 50
        heard = await said(stream, data)
        heard += await stream.receive() if len(heard) == 200 else b""
    assert (heard[:50], heard[51:]) == (data[:50], data[50:])


async def test_it_can_be_left_in_any_state() -> None:
    async with echo() as port:
        for fault in ("is_black_hole", "is_refusing"):
            async with FaultProxy("127.0.0.1", port) as proxy:
                stream = await anyio.connect_tcp("127.0.0.1", proxy.port)
                await stream.send(b"x")
                setattr(proxy, fault, True)
            assert proxy.open == 0
            await stream.aclose()


async def test_a_target_that_is_away_ends_the_connection() -> None:
    async with echo() as port:
        pass
    async with FaultProxy("127.0.0.1", port) as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert f"<FaultProxy [:{proxy.port} to 127.0.0.1:{port} | 0 open, 1 accepted, 0 bytes | no fault]>" == repr(
            proxy
        )
