"""What is noted once an answer is out: in its order, whatever happens, and for each request by itself."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from trunkline.afterwards import Afterwards, afterwards

pytestmark = pytest.mark.anyio


def test_where_nobody_sees_to_it_it_is_noted_at_once() -> None:
    noted: list[int] = []
    afterwards(lambda: noted.append(1))
    assert noted == [1]


def test_it_is_noted_at_the_end_in_its_order_even_if_that_is_an_error() -> None:
    noted: list[int] = []

    def fail() -> None:
        with Afterwards():
            for number in range(3):
                afterwards(lambda number=number: noted.append(number))  # type: ignore[misc] # bound early
            assert noted == []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert noted == [0, 1, 2]
    afterwards(lambda: noted.append(3))
    assert noted == [0, 1, 2, 3]


def test_one_that_fails_keeps_no_other_from_being_noted() -> None:
    noted: list[int] = []

    def fail() -> None:
        raise OSError(28, "no room")

    def note() -> None:
        with Afterwards():
            afterwards(fail)
            afterwards(lambda: noted.append(1))

    with pytest.raises(OSError, match="no room"):
        note()
    assert noted == [1]


async def test_each_request_has_its_own() -> None:
    noted: list[str] = []
    ends = {name: anyio.Event() for name in ("first", "second")}

    async def request(name: str) -> None:
        with Afterwards():
            afterwards(lambda: noted.append(name))
            await ends[name].wait()

    async with anyio.create_task_group() as tasks:
        for name in ends:
            tasks.start_soon(request, name)
        await anyio.lowlevel.checkpoint()
        ends["second"].set()
        await anyio.lowlevel.checkpoint()
        assert noted == ["second"]
        ends["first"].set()
    assert noted == ["second", "first"]


async def test_what_outlives_the_request_that_began_it_is_noted_at_once() -> None:
    noted: list[str] = []
    ends = anyio.Event()

    async def refresh() -> None:
        await ends.wait()
        afterwards(lambda: noted.append("refreshed"))

    async with anyio.create_task_group() as tasks:
        with Afterwards():
            tasks.start_soon(refresh)
            await anyio.lowlevel.checkpoint()
        ends.set()
    assert noted == ["refreshed"]
