"""What goes over the wire to the shared tier, and what can go wrong there: the words between it and its one adapter.

Knows no client library. A fault is told by its kind, never by a foreign text: those may name hosts and users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias

__all__ = ["FAULTS", "NOT_KNOWN", "Command", "FaultKind", "Link", "LinkFault", "NotKnown", "Refused", "Reply"]

Command: TypeAlias = tuple[str | bytes | int, ...]
"""A command of Redis and its arguments; the first of them, where it has any, is its key (EVAL aside)."""

Reply: TypeAlias = Any
"""What came back: bytes, int, None, a list of these, or `Refused`."""

FaultKind: TypeAlias = Literal[
    "timed_out",
    "unreachable",
    "lost",
    "untrusted",
    "denied",
    "not_ready",
    "no_master",
    "is_cluster",
    "no_answer",
    "mixed_up",
    "needs_asyncio",
]

FAULTS: Final[dict[FaultKind, str]] = {
    "timed_out": "it did not answer in time",
    "unreachable": "it cannot be reached",
    "lost": "the connection to it was lost",
    "untrusted": "its certificate is not trusted",
    "denied": "it refused the credentials, or a command that is needed",
    "not_ready": "it is not ready (loading, read-only, or part of its cluster is down)",
    "no_master": "no sentinel knows a master of that name",
    "is_cluster": 'it is part of a cluster: the mode has to be "cluster"',
    "no_answer": "what it sent is no answer",
    "mixed_up": "it sent what belongs to another question",
    "needs_asyncio": "it needs asyncio, and this program runs on another event loop",
}
"""In words that can be shown: nothing of an address, a user or a password."""


class NotKnown(Enum):
    """The shared tier cannot say: a value of its own, because "absent" is something else."""

    NOT_KNOWN = "not known"


NOT_KNOWN: Final = NotKnown.NOT_KNOWN


@dataclass(frozen=True, slots=True)
class Refused:
    """One command was answered with an error; the others of its pipeline may be well."""

    kind: Literal["full", "denied", "failed"]
    """No memory left; not permitted; anything else."""


class LinkFault(Exception):  # an implementation's way of saying "not known": it never leaves the cache
    """The link is of no use any more."""

    def __init__(self, kind: FaultKind) -> None:
        super().__init__(FAULTS[kind])
        self.kind = kind


class Link(Protocol):
    """Connections to one Redis, cluster or master, open from `open` to `close` and never mended: a fault ends it.

    One exchange at a time on each lane. Everything raises `LinkFault`, and nothing else. Nothing is to be cancelled.
    """

    commands: int
    """Sent so far."""

    async def open(self, lanes: Sequence[str]) -> None:
        """Connect, once for each lane."""
        ...

    async def fetch(self, lane: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys, wherever in a cluster they are."""
        ...

    async def exchange(self, lane: str, commands: Sequence[Command]) -> list[Reply]:
        """Send commands in one go and return what each was answered. Not one transaction."""
        ...

    async def follow(self, lane: str, stream: bytes, after: bytes, seconds: float, count: int) -> list[Reply]:
        """Entries of a stream beyond an id, `[id, [field, value, …]]` each; waits so long for the first."""
        ...

    async def now(self, lane: str, key: bytes) -> float:
        """A sign of life from every master, and the time (Unix seconds) at the one that holds `key`."""
        ...

    async def close(self) -> None:
        """Drop the connections, whatever is under way on them. Never raises, and takes a second at most."""
        ...
