"""Generators that are tracked: one request from the first item asked for to the last, the reader's time included.

A generator runs piecemeal in the context of whoever asks for the next item. So its domain is lent for each piece alone,
and what the reader does in between stays the reader's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any, TypeAlias

from trunkline.call import CURRENT_DOMAIN

__all__ = ["track_async_generator", "track_generator"]

_Begin: TypeAlias = Callable[[], AbstractContextManager[object]]


@contextmanager
def _lent(domain: str) -> Generator[None]:
    token = CURRENT_DOMAIN.set(domain)
    try:
        yield
    finally:
        # Each piece begins and ends in one context, whatever contexts the pieces run in.
        CURRENT_DOMAIN.reset(token)


def track_generator(
    function: Callable[..., Generator[Any, Any, Any]], domain: str, begin: _Begin
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return `function` with each run of its generators inside what `begin` returns, and each piece in `domain`."""

    @wraps(function)
    def tracked(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin():
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = partial(next, inner)
            while True:
                try:
                    with _lent(domain):
                        item = step()
                except StopIteration as end:
                    return end.value
                try:
                    step = partial(inner.send, (yield item))
                except GeneratorExit:
                    with _lent(domain):
                        inner.close()
                    raise
                except BaseException as error:  # boundary: thrown in where it belongs, like `yield from` does
                    step = partial(inner.throw, error)

    return tracked


def track_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], domain: str, begin: _Begin
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Do for async generators what `track_generator` does for others."""

    @wraps(function)
    async def tracked(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with begin():
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = partial(anext, inner)
            while True:
                try:
                    with _lent(domain):
                        item = await step()
                except StopAsyncIteration:
                    return
                try:
                    step = partial(inner.asend, (yield item))
                except GeneratorExit:
                    with _lent(domain):
                        await inner.aclose()
                    raise
                except BaseException as error:  # boundary: thrown in where it belongs, like `yield from` does
                    step = partial(inner.athrow, error)

    return tracked
