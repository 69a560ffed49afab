"""A tracked operation: the piece of a domain's work that one `with` or one decorated function stands for.

Counts as one request of its domain, and gives its domain to the tool calls made inside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from trunkline.call import CURRENT_DOMAIN, UNATTRIBUTED
from trunkline.monitoring.generators import track_async_generator, track_generator
from trunkline.monitoring.series import Group
from trunkline.monitoring.store import MetricStore

__all__ = ["Tracked"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Tracked:
    """An operation to be tracked: enter it with `with` or `async with`, or decorate a function with it.

    Where neither fits, call `start()` and `stop()`. What leaves the block passes unchanged; an exception makes the
    outcome `error`, a cancellation `cancelled`.
    """

    __slots__ = ("_group", "_lends", "_started", "_store", "_token", "domain", "operation", "outcome")

    def __init__(self, store: MetricStore, domain: str, operation: str, *, lends: bool = True) -> None:
        self.domain = domain or UNATTRIBUTED
        self.operation = operation
        """What was done; may be set inside the block, when it is known only then."""
        self.outcome = "ok"
        """How it ended if nothing is raised; may be set inside the block."""
        self._store = store
        self._lends = lends
        self._group: Group | None = None
        self._token: Token[str | None] | None = None
        self._started = 0.0

    def __repr__(self) -> str:
        return f"<Tracked {self.domain}/{self.operation} [{'idle' if self._group is None else 'under way'}]>"

    def start(self) -> Self:
        """Begin; tool calls made from now on in this context belong to the domain.

        Raises:
            RuntimeError: this very object is under way already; `track()` makes one for each use.
        """
        if self._group is not None:
            message = f"{self!r} is entered twice at once: call track() for each use"
            raise RuntimeError(message)
        self.outcome = "ok"
        store = self._store
        self._group = group = store.requests.group(self.domain)
        group.active.add(self)
        if self._lends:
            self._token = CURRENT_DOMAIN.set(self.domain)
        self._started = store.clock()
        return self

    def stop(self, outcome: str | None = None) -> None:
        """End, and record one request; inside a block, before its end, which then records nothing more.

        `outcome` replaces the attribute. Stopping what is not under way does nothing.
        """
        store = self._store
        duration = store.clock() - self._started
        token, group = self._token, self._group
        if group is None:
            return
        self._token = self._group = None
        group.active.discard(self)
        if token is not None:
            try:  # noqa: SIM105 - `suppress` would cost as much as all the rest
                CURRENT_DOMAIN.reset(token)
            except ValueError:
                # Left in another context than entered, as async fixtures do: nothing to restore there.
                pass
        labels = (self.domain, self.operation, self.outcome if outcome is None else outcome)
        store.note(store.requests.known(labels) or store.requests.find(labels), duration)

    def __enter__(self) -> Self:
        """Begin, as `start` does."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, and record one request."""
        self.stop(None if kind is None else "error" if issubclass(kind, Exception) else "cancelled")

    async def __aenter__(self) -> Self:
        """Begin, as `start` does."""
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, as `__exit__` does."""
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorate `function`: each call of it is tracked by itself, recursive ones included.

        It may be async. Of a generator, async or not, each run is one request, from the first item asked for to the
        end; one whose reader stops early is `cancelled`.
        """
        begin = partial(Tracked, self._store, self.domain, self.operation)
        made: Callable[..., Any]
        # An object with an async `__call__` is as async as a function.
        if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            made = _track_coroutine(function, begin)
        elif isasyncgenfunction(function):
            made = track_async_generator(function, self.domain, partial(begin, lends=False))
        elif isgeneratorfunction(function):
            made = track_generator(function, self.domain, partial(begin, lends=False))
        else:
            made = _track_function(function, begin)
        return cast("Callable[_P, _R]", made)


def _track_coroutine(function: Callable[..., Any], begin: Callable[[], Tracked]) -> Callable[..., Any]:
    @wraps(function)
    async def tracked(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await function(*args, **kwargs)

    return tracked


def _track_function(function: Callable[..., Any], begin: Callable[[], Tracked]) -> Callable[..., Any]:
    @wraps(function)
    def tracked(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return function(*args, **kwargs)

    return tracked
