"""A tracked operation: the piece of a domain's work that one `with` or one decorated function stands for.

Counts as one request of its domain, and gives its domain to the tool calls made inside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from trunkline.call import CURRENT_DOMAIN, UNATTRIBUTED
from trunkline.monitoring.series import Group
from trunkline.monitoring.store import MetricStore

__all__ = ["Tracked"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Tracked:
    """An operation to be tracked: enter it with `with` or `async with`, or decorate a function with it.

    What leaves the block passes unchanged; an exception makes the outcome `error`, a cancellation `cancelled`.
    """

    __slots__ = ("_group", "_started", "_store", "_token", "domain", "operation", "outcome")

    def __init__(self, store: MetricStore, domain: str, operation: str) -> None:
        self.domain = domain or UNATTRIBUTED
        self.operation = operation
        """What was done; may be set inside the block, when it is known only then."""
        self.outcome = "ok"
        """How it ended if nothing is raised; may be set inside the block."""
        self._store = store
        self._group: Group | None = None
        self._token: Token[str | None] | None = None
        self._started = 0.0

    def __repr__(self) -> str:
        return f"<Tracked {self.domain}/{self.operation} [{'under way' if self._token else 'idle'}]>"

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: this very object is under way already; `track()` makes one for each use.
        """
        if self._token is not None:
            message = f"{self!r} is entered twice at once: call track() for each use"
            raise RuntimeError(message)
        self.outcome = "ok"
        store = self._store
        self._group = group = store.requests.group(self.domain)
        group.active.add(self)
        self._token = CURRENT_DOMAIN.set(self.domain)
        self._started = store.clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, and record one request."""
        store = self._store
        duration = store.clock() - self._started
        token, group = self._token, self._group
        self._token = self._group = None
        if token is not None and group is not None:
            group.active.discard(self)
            try:  # noqa: SIM105 - `suppress` would cost as much as all the rest
                CURRENT_DOMAIN.reset(token)
            except ValueError:
                # Left in another context than entered, as async fixtures and generators do: nothing to restore there.
                pass
        outcome = self.outcome
        if kind is not None:
            outcome = "error" if issubclass(kind, Exception) else "cancelled"
        labels = (self.domain, self.operation, outcome)
        store.note(store.requests.known(labels) or store.requests.find(labels), duration)

    async def __aenter__(self) -> Self:
        """Begin, as `__enter__` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, as `__exit__` does."""
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorate `function`, async or not: each call of it is tracked by itself, recursive ones included."""
        store, domain, operation = self._store, self.domain, self.operation

        if iscoroutinefunction(function):

            @wraps(function)
            async def tracked_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with Tracked(store, domain, operation):
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", tracked_async)

        @wraps(function)
        def tracked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with Tracked(store, domain, operation):
                return function(*args, **kwargs)

        return tracked
