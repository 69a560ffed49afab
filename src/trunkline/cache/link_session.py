"""One link to the shared tier with its lanes, from the probe that made it to the fault that ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import anyio

from trunkline.cache.lane import Lane
from trunkline.cache.link import Command, FaultKind, Link, NotKnown, Reply
from trunkline.cache.shared_clock import SharedClock
from trunkline.clock import now

__all__ = ["LANES", "LinkSession"]

LANES: Final = ("reads", "commands", "writes", "signs")
_TOGETHER: Final = 128
"""Questions that are asked in one exchange at most: a larger answer would keep all of them waiting."""
_WRITE_PATIENCE: Final = 20
"""Deadlines that a batch of writes may take: nobody waits for it."""


class LinkSession:
    """Reads, commands, writes and signs of life have a connection each, so that none waits for another kind."""

    def __init__(
        self,
        link: Link,
        clock: SharedClock,
        deadline: float,
        on_fault: Callable[[LinkSession, FaultKind], None],
        tasks: set[asyncio.Task[Any]],
    ) -> None:
        self.link = link
        self.clock = clock
        self.has_ended = anyio.Event()
        fault = partial(on_fault, self)
        self.reads: Lane[Sequence[bytes], list[bytes | None]] = Lane(
            self._fetch, deadline=deadline, limit=_TOGETHER, on_fault=fault, tasks=tasks
        )
        self.commands: Lane[Sequence[Command], list[Reply]] = Lane(
            partial(self._exchange, "commands"), deadline=deadline, limit=_TOGETHER, on_fault=fault, tasks=tasks
        )
        self.writes: Lane[Sequence[Command], list[Reply]] = Lane(
            partial(self._exchange, "writes"),
            deadline=_WRITE_PATIENCE * deadline,
            limit=_TOGETHER,
            on_fault=fault,
            tasks=tasks,
        )
        self._signs: Lane[bytes, float] = Lane(
            self._ask_for_signs, deadline=deadline, limit=_TOGETHER, on_fault=fault, tasks=tasks
        )

    def __repr__(self) -> str:
        return f"<LinkSession [reads {self.reads!r}, commands {self.commands!r}, writes {self.writes!r}]>"

    async def renew(self, key: bytes) -> None:
        """Ask for a sign of life, and read the clock of the server that has `key`."""
        asked = now()
        server = await self._signs.ask(key)
        if not isinstance(server, NotKnown):
            self.clock = SharedClock.read(asked, now(), server)

    def end(self) -> None:
        """Leave everybody who waits without an answer."""
        for lane in (self.reads, self.commands, self.writes, self._signs):
            lane.end()
        self.has_ended.set()

    async def _fetch(self, questions: list[Sequence[bytes]]) -> list[list[bytes | None]]:
        if len(questions) == 1:
            return [await self.link.fetch("reads", questions[0])]
        # Entries have most of their tags in common.
        places: dict[bytes, int] = {}
        for keys in questions:
            for key in keys:
                places.setdefault(key, len(places))
        values = await self.link.fetch("reads", list(places))
        return [[values[places[key]] for key in keys] for keys in questions]

    async def _exchange(self, lane: str, questions: list[Sequence[Command]]) -> list[list[Reply]]:
        replies = iter(await self.link.exchange(lane, [command for commands in questions for command in commands]))
        return [[next(replies) for _ in commands] for commands in questions]

    async def _ask_for_signs(self, questions: list[bytes]) -> list[float]:
        time = await self.link.now("signs", questions[0])
        return [time] * len(questions)
