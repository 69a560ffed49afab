"""Joins what is asked at the same time into one exchange, and never waits beyond a deadline.

An exchange runs in a task of its own and is left alone when it is late: cancelling redis-py on Python 3.11 can be
swallowed, and stalls for seconds. A late exchange ends its link, so that no answer of it can reach another question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from trunkline.cache.link import NOT_KNOWN, FaultKind, LinkFault, NotKnown

__all__ = ["Lane", "abandonable"]

_LATE: Final = 0.005
_GRACE: Final = 0.01
"""Seconds by which a timer may be late itself, and how long the answer may take that came meanwhile."""

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")


class Lane(Generic[Q, A]):
    """One exchange at a time; what is asked meanwhile goes together in the next one. Lives as long as its link."""

    def __init__(
        self,
        exchange: Callable[[list[Q]], Awaitable[list[A]]],
        *,
        deadline: float,
        limit: int,
        on_fault: Callable[[FaultKind], None],
        tasks: set[asyncio.Task[Any]],
    ) -> None:
        """Ask by `exchange`, at most `limit` questions together; `tasks` holds what is under way."""
        self._exchange = exchange
        self._deadline = deadline
        self._limit = limit
        self._on_fault = on_fault
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Q, asyncio.Future[A | NotKnown], float]] = deque()
        self._asked: list[tuple[Q, asyncio.Future[A | NotKnown], float]] = []
        self._is_busy = False
        self._has_ended = False
        self._is_graced = False
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "busy" if self._is_busy else "idle"
        return f"<Lane {state} [{len(self._asked)} asked, {len(self._waiting)} waiting]>"

    async def ask(self, question: Q) -> A | NotKnown:
        """The answer; `NOT_KNOWN` after the deadline and after any fault. Who gives up disturbs nobody."""
        if self._has_ended:
            return NOT_KNOWN
        answer: asyncio.Future[A | NotKnown] = self._loop.create_future()
        self._waiting.append((question, answer, self._loop.time()))
        if not self._is_busy:
            self._is_busy = True
            # It starts when everybody who is awake now has asked: those whom one answer woke ask together again.
            task = self._loop.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    def end(self) -> None:
        """Tell everybody who waits that the answer is not known. What is under way is left alone."""
        self._has_ended = True
        self._stop_timer()
        for _, answer, _ in (*self._asked, *self._waiting):
            if not answer.done():
                answer.set_result(NOT_KNOWN)
        self._asked = []
        self._waiting.clear()

    def _take(self) -> None:
        self._is_graced = False
        waiting = self._waiting
        self._asked = [waiting.popleft() for _ in range(min(len(waiting), self._limit))]
        # From the moment the first of them was asked, the wait for the exchange before included.
        due = self._asked[0][2] + self._deadline
        self._timer = self._loop.call_at(due, self._expire, due)

    def _expire(self, due: float) -> None:
        # A loop that was held up runs the timer before it looks at an answer that has been there for long.
        if self._loop.time() - due > _LATE and not self._is_graced:
            self._is_graced = True
            self._timer = self._loop.call_later(_GRACE, self._expire, due)
        else:
            self._on_fault("timed_out")

    async def _work(self) -> None:
        try:
            while self._waiting:
                self._take()
                answers = await self._exchange([question for question, _, _ in self._asked])
                if self._has_ended:
                    return
                self._stop_timer()
                for (_, waiting, _), answer in zip(self._asked, answers, strict=True):
                    if not waiting.done():
                        waiting.set_result(answer)
                self._asked = []
        except LinkFault as fault:
            if not self._has_ended:
                self._on_fault(fault.kind)
        finally:
            self._is_busy = False

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def abandonable(work: Coroutine[Any, Any, T], seconds: float, tasks: set[asyncio.Task[Any]]) -> T:
    """The outcome of `work`; after so many seconds it is left alone (it stays in `tasks`) and a `LinkFault` raised."""
    loop = asyncio.get_running_loop()
    task, due = loop.create_task(work), loop.time() + seconds
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(_take_note)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done() and loop.time() - due > _LATE:
        # As in a lane: a server that is back must not seem to be away because this loop was held up.
        await asyncio.wait({task}, timeout=_GRACE)
    if not task.done():
        raise LinkFault("timed_out")
    return task.result()


def _take_note(task: asyncio.Task[Any]) -> None:
    """Look at how an abandoned task ended, or asyncio complains that nobody has."""
    if not task.cancelled():
        task.exception()
