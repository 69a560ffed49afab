"""Resources whose updates somebody wants to hear of, and a connection's part in it: its server is asked to tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import anyio

from trunkline.transport.reasons import SessionFailed
from trunkline.transport.session import Session

__all__ = ["Watched", "keep_subscribed"]

_AGAIN = 1.0
"""Seconds before a server is asked again that refused or lost a subscription; doubled each time, up to `_LONGEST`."""
_LONGEST = 60.0
_PATIENCE = 10.0
"""Seconds a server of the handshake era may take over one of them, while the others wait."""


class Watched:
    """Their addresses at one endpoint; outlives its connections."""

    def __init__(self) -> None:
        self.uris: frozenset[str] = frozenset()
        self._changed = anyio.Event()
        self._heard_of: set[str] = set()

    def __repr__(self) -> str:
        return f"<Watched [{len(self.uris)} resources]>"

    def set(self, uri: str, *, wanted: bool) -> None:
        """Watch this one, too, or no longer."""
        self.uris = self.uris | {uri} if wanted else self.uris - {uri}
        self._heard_of &= self.uris
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def wait_other(self, uris: frozenset[str]) -> None:
        """Wait until others than these are watched."""
        while self.uris == uris:
            await self._changed.wait()

    def note(self, uri: str) -> bool:
        """A server will tell of it from now on; whether one did before, so that something may have been missed."""
        was_heard_of = uri in self._heard_of
        self._heard_of.add(uri)
        return was_heard_of


async def keep_subscribed(session: Session, watched: Watched, on_missed: Callable[[str], None]) -> None:
    """Have the server tell of what is watched, until cancelled; `on_missed` gets what may have changed unheard."""
    if not session.can_subscribe:
        return

    def begin(uri: str) -> None:
        if watched.note(uri):
            on_missed(uri)

    pause, told = _AGAIN, set[str]()
    while True:
        uris, started = watched.uris, anyio.current_time()
        if session.is_modern:
            await _listen(session, watched, uris, begin)
        elif await _subscribe(session, uris, told, begin):
            pause = _AGAIN
            await watched.wait_other(uris)
        if uris == watched.uris:
            pause = _AGAIN if anyio.current_time() - started > _LONGEST else min(2 * pause, _LONGEST)
            # Who wants to hear of another one does not wait for what the server refuses.
            with anyio.move_on_after(pause):
                await watched.wait_other(uris)


async def _listen(session: Session, watched: Watched, uris: frozenset[str], begin: Callable[[str], None]) -> None:
    """One stream for all of them, until the server ends it or there are others."""
    async with anyio.create_task_group() as tasks:

        def begin_all() -> None:
            for uri in uris:
                begin(uri)

        async def listen() -> None:
            with suppress(SessionFailed):
                await session.watch_resources(uris, begin_all)
            tasks.cancel_scope.cancel()

        if uris:
            tasks.start_soon(listen)
        await watched.wait_other(uris)
        tasks.cancel_scope.cancel()


async def _subscribe(session: Session, uris: frozenset[str], told: set[str], begin: Callable[[str], None]) -> bool:
    """Tell the server of what is new and what is over, and return whether it took all; `told` is what it knows."""
    for uri in told ^ uris:
        # What it has to say of one resource stands in no other's way.
        with suppress(SessionFailed), anyio.move_on_after(_PATIENCE):
            if uri in uris:
                await session.subscribe(uri, wanted=True)
                told.add(uri)
                begin(uri)
            else:
                await session.subscribe(uri, wanted=False)
                told.discard(uri)
    return told == uris
