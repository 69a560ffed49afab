"""A task of its own: started by one task, stopped by another, and its failure is nobody's secret."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
import trio
from anyio.abc import TaskGroup

from trunkline.pool.owner import Owner

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both event loops: each has its own way to a task that belongs to nobody."""
    return str(request.param)


async def test_what_one_task_starts_another_may_stop_and_everything_in_it_is_waited_for() -> None:
    stop, done = anyio.Event(), []

    async def work(number: int) -> None:
        await stop.wait()
        done.append(number)

    async def main(tasks: TaskGroup) -> None:
        tasks.start_soon(work, 1)
        tasks.start_soon(work, 2)

    owner = Owner(main)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.start)
    assert done == []

    async def leave() -> None:
        stop.set()
        await owner.wait_ended()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    assert sorted(done) == [1, 2]


async def test_a_caller_that_is_cancelled_after_the_start_takes_nothing_along() -> None:
    stop, is_over = anyio.Event(), []

    async def main(_tasks: TaskGroup) -> None:
        await stop.wait()
        is_over.append(True)

    owner = Owner(main)
    with anyio.CancelScope() as scope:
        await owner.start()
        scope.cancel()
        await anyio.sleep_forever()
    stop.set()
    await owner.wait_ended()

    assert is_over == [True]


async def test_a_failure_is_raised_to_everybody_who_waits_for_the_end() -> None:
    async def main(tasks: TaskGroup) -> None:
        async def fail() -> None:
            raise ValueError("broken")

        tasks.start_soon(fail)
        await anyio.sleep_forever()

    owner = Owner(main)
    await owner.start()
    for _ in range(2):
        with pytest.raises(ExceptionGroup) as caught, anyio.fail_after(5):
            await owner.wait_ended()
        assert [str(error) for error in caught.value.exceptions] == ["broken"]


async def test_a_start_that_fails_at_once_does_not_hang() -> None:
    async def main(_tasks: TaskGroup) -> Any:
        raise ValueError("broken")

    owner = Owner(main)
    with anyio.fail_after(5):
        await owner.start()
        with pytest.raises(ExceptionGroup):
            await owner.wait_ended()


async def test_an_owner_that_was_never_started_has_nothing_to_wait_for() -> None:
    async def main(_tasks: TaskGroup) -> None:
        raise AssertionError

    with anyio.fail_after(5):
        await Owner(main).wait_ended()


async def test_a_dump_of_tasks_names_the_task_of_an_owner_after_us(anyio_backend_name: str) -> None:
    names = list[str]()

    async def main(_tasks: TaskGroup) -> None:
        on_asyncio = anyio_backend_name == "asyncio"
        task = asyncio.current_task() if on_asyncio else trio.lowlevel.current_task()
        names.append("" if task is None else task.get_name() if isinstance(task, asyncio.Task) else task.name)

    owner = Owner(main)
    await owner.start()
    await owner.wait_ended()

    assert names == ["trunkline"]
