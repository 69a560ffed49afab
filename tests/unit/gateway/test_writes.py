"""What is written in one step goes out in one piece, and nothing is held back longer, or lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.gateway.writes import JoinedWrites

pytestmark = pytest.mark.anyio


class Noting(asyncio.Transport):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.told: list[Any] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")
        self.is_closed = True

    def abort(self) -> None:
        self.told.append("abort")
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 100

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


@pytest.fixture
def below() -> Noting:
    return Noting()


@pytest.fixture
async def writes(below: Noting) -> JoinedWrites:
    return JoinedWrites(below, asyncio.get_running_loop())


async def test_what_is_written_in_one_step_is_one_write_and_waits_for_no_second_step(
    writes: JoinedWrites, below: Noting
) -> None:
    writes.write(b"head ")
    writes.write(b"")
    writes.write(bytearray(b"body"))
    assert (below.told, writes.get_write_buffer_size()) == ([], 109)
    assert repr(writes).startswith("<JoinedWrites [9 bytes held] ")
    await asyncio.sleep(0)
    assert (below.told, writes.get_write_buffer_size()) == ([b"head body"], 100)
    writes.write(b"more")
    await asyncio.sleep(0)
    assert below.told == [b"head body", b"more"]


async def test_what_is_flushed_has_been_said_once(writes: JoinedWrites, below: Noting) -> None:
    writes.write(b"answer")
    writes.flush()
    writes.flush()
    await asyncio.sleep(0)
    assert below.told == [b"answer"]


async def test_what_is_large_is_not_held_and_stays_behind_what_came_before_it(
    writes: JoinedWrites, below: Noting
) -> None:
    large = b"x" * 65536
    writes.write(b"head")
    writes.write(large)
    assert below.told == [b"head", large]
    for _ in range(100):
        writes.write(large[:1000])
    assert writes.get_write_buffer_size() < 100 + 65536, "a long answer in small pieces is not held in memory"


async def test_closing_says_what_is_held_and_aborting_does_not(writes: JoinedWrites, below: Noting) -> None:
    writes.write(b"last words")
    writes.close()
    writes.write(b"too late")
    await asyncio.sleep(0)
    assert below.told == [b"last words", "close"]
    other = Noting()
    aborted = JoinedWrites(other, asyncio.get_running_loop())
    aborted.write(b"unsaid")
    aborted.abort()
    await asyncio.sleep(0)
    assert (other.told, aborted.is_closing()) == (["abort"], True)


async def test_everything_else_is_the_other_transports(writes: JoinedWrites, below: Noting) -> None:
    writes.pause_reading()
    writes.resume_reading()
    assert below.told == ["pause", "resume"]
    assert writes.get_extra_info("peername") == ("127.0.0.1", 1)
    assert writes.get_extra_info("socket", "none") == "none"
