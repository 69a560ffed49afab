"""Drives a coroutine step by step, so that a test can cancel it at each of its await points in turn.

A coroutine pauses wherever it really waits; a task sees each pause pass by. That is the same on every event loop, so
one small driver counts them on all.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal, TypeVar

__all__ = ["Moment", "stepped"]

T = TypeVar("T")

Moment = Literal["falling asleep", "waking up"]
"""When to interfere with a step: just before the task waits, or when what it waited for has come already."""


@types.coroutine
def stepped(
    coroutine: Coroutine[Any, Any, T], step: int, moment: Moment, interfere: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Run `coroutine`, and call `interfere` once, at the given moment of its pause number `step` (from 1)."""
    passed = 0
    resume: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731 - replaced at each step
    while True:
        try:
            pause = resume()
        except StopIteration as end:
            answer: T = end.value
            return answer
        passed += 1
        if passed == step and moment == "falling asleep":
            interfere()
        try:
            sent = yield pause
        except BaseException as error:
            thrown = error
            resume = lambda: coroutine.throw(thrown)  # noqa: B023, E731 - called before it changes
        else:
            resume = lambda: coroutine.send(sent)  # noqa: B023, E731 - called before it changes
            if passed == step and moment == "waking up":
                interfere()
