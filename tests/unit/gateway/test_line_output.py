"""Lines go out whole, in their order, and nobody who says one is held up by who does not read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from trunkline.gateway.line_output import LineOutput

pytestmark = pytest.mark.anyio


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):
            os.close(descriptor)


def never() -> None:
    raise AssertionError


async def read(descriptor: int, size: int) -> bytes:
    """So many bytes, as they come."""
    found = b""
    while len(found) < size:
        await anyio.wait_readable(descriptor)
        found += os.read(descriptor, size - len(found))
    return found


async def test_a_line_is_written_at_once(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = LineOutput(writing, never)
    output.put(b"one")
    output.put(b"two")
    assert os.read(reading, 100) == b"one\ntwo\n"
    assert repr(output) == "<LineOutput [0 bytes waiting]>"


async def test_what_does_not_fit_goes_out_whole_even_if_who_said_it_was_cancelled(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = LineOutput(writing, never)
    lines = [bytes([65 + number]) * 300_000 for number in range(3)]
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.run)
            for line in lines:
                with anyio.move_on_after(0.01) as scope:
                    await output.send(line)
                assert scope.cancelled_caught, "it should have waited for room"
            assert await read(reading, 900_003) == b"".join(line + b"\n" for line in lines)
            await output.send(b"after")
            assert await read(reading, 6) == b"after\n"
            tasks.cancel_scope.cancel()


async def test_who_waits_for_room_gets_it(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = LineOutput(writing, never)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.run)
            async with anyio.create_task_group() as waiting:
                for _ in range(5):
                    waiting.start_soon(output.send, b"x" * 100_000)
                assert len(await read(reading, 500_005)) == 500_005
            tasks.cancel_scope.cancel()


async def test_what_waits_at_the_end_has_a_second_to_be_read(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = LineOutput(writing, never)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.run)
            await anyio.lowlevel.checkpoint()
            output.put(b"x" * 200_000)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert len(await read(reading, 200_001)) == 200_001
        assert repr(output) == "<LineOutput [0 bytes waiting]>"
        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.run)
            await anyio.lowlevel.checkpoint()
            output.put(b"x" * 200_000)
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - started >= 0.9


async def test_that_nobody_reads_any_more_is_told(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    ended: list[None] = []
    output = LineOutput(writing, lambda: ended.append(None))
    os.close(reading)
    output.put(b"x" * 200_000)
    assert ended == [None]
    assert repr(output) == "<LineOutput [0 bytes waiting]>"


def test_what_others_print_goes_to_stderr_and_children_do_not_have_it() -> None:
    program = """
import os, subprocess
from trunkline.gateway.line_output import LineOutput, claimed_output
print("before")
with claimed_output() as descriptor:
    print("stray", flush=True)
    subprocess.run(["sh", "-c", f"echo child; echo x >&{descriptor} || echo has it not"])
    LineOutput(descriptor, exit).put(b"ours")
print("after")
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "before\nours\nafter\n"
    assert done.stderr.startswith("stray\nchild\n")
    assert done.stderr.endswith("has it not\n")
