"""What the machine does to caches that looks for a wrong answer: drawn by a seed, and made shorter where it found one.

An operation means the same whatever came before it, so that any of them can be left out of a run that went wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = [
    "ARGUMENTS",
    "PRINCIPALS",
    "PROCESSES",
    "SERVERS",
    "Ask",
    "Fault",
    "Invalidate",
    "News",
    "Operation",
    "Pass",
    "drawn",
    "shortest",
]

PROCESSES: Final = 3
SERVERS: Final = ("a", "b")
PRINCIPALS: Final = (None, "ann", "bob")
ARGUMENTS: Final[tuple[dict[str, Any], ...]] = (
    *({}, {"q": 1}, {"q": 1.0}, {"q": True}, {"q": "1"}, {"q": [1, {"r": None}]}, {"q": 1, "r": 2}),
    *({"q": "aih"}, {"q": "caa"}),
)
"""Some pairs of them are equal to Python, or nearly; the last two have all tags in common, whatever the tool."""

READERS: Final = ("look", "find", "shared", "page")
"""Three tools and a resource, all cached."""
WRITERS: Final = ("write", "retag", "wipe", "plain")
"""Makes invalid what its principal was told; makes a tag invalid; warns of itself although cached; is not cached."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A call."""

    process: int
    server: str
    tool: str
    principal: str | None
    arguments: int
    mode: str
    takes: float
    """Seconds the server takes, if it is asked."""
    outcome: str
    """What it says then."""
    given_up: float | None
    """Seconds after which the caller is cancelled."""
    is_alone: bool
    """Whether the call wants to hear of progress."""
    is_waited_for: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """Time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Invalidate:
    """An explicit invalidation in one process."""

    process: int
    by: str
    server: str
    tool: str
    arguments: int
    principal: str


@dataclass(frozen=True, slots=True)
class News:
    """What one process learns of a server, or what happens to the process."""

    process: int
    kind: str
    server: str
    tool: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong between a process and the shared tier, or in it."""

    kind: str
    process: int


Operation: TypeAlias = Ask | Pass | Invalidate | News | Fault

FAULTS: Final = (
    *(
        "cut",
        "cut",
        "black_hole",
        "refuse",
        "slow",
        "slow",
        "lossy",
        "shift",
        "shift",
        "garble",
        "corrupt_tag",
        "swap_tags",
    ),
    *(
        *["corrupt_entry"] * 4,
        *["swap_entries"] * 3,
        "drop_tags",
        "drop_tags",
        "trim",
        "flush",
        "kill",
        "pause",
        "fill",
        "step_clock",
    ),
)
_TAKES: Final = (*[0.0] * 6, *[0.001] * 6, *[0.02] * 3, 0.3, 0.3, 2.0, 8.0)
_PAUSES: Final = (0.0, 0.0, 0.001, 0.001, 0.004, 0.02, 0.06, 0.3, 1.2, 4.0, 11.0)
_OUTCOMES: Final = (*["ok"] * 12, "raises", "raises", "is_error", "no_cache")


def drawn(seed: int, count: int) -> list[Operation]:
    """So many operations; the same for the same seed."""
    rng = random.Random(seed)
    # Each run has its own mixture: what many runs have in common hides what happens in few.
    busy, invalidating, telling = rng.uniform(0.5, 0.95), rng.choice((0.003, 0.03, 0.1)), rng.choice((0.002, 0.02))
    faults, writing = rng.choice((0.0, 0.01, 0.05)), rng.choice((0.005, 0.02, 0.1))
    few = rng.choice((range(len(ARGUMENTS)), (0, 1), (7, 8)))
    is_narrow = rng.random() < 0.5
    readers = (rng.choice(READERS[:3]),) if is_narrow else READERS
    principals = (rng.choice(PRINCIPALS[1:]),) if is_narrow else PRINCIPALS
    pauses = _PAUSES[:-2] if is_narrow else _PAUSES
    found: list[Operation] = []
    while len(found) < count:
        draw = rng.random()
        process, server = rng.randrange(PROCESSES), rng.choice(SERVERS)
        if draw < faults:
            found.append(Fault(rng.choice(FAULTS), process))
        elif draw < 2 * faults:
            found.append(Fault("heal", process))
        elif draw < 2 * faults + telling:
            kind = rng.choice(("drift", "drift", "gone", "resource", "resource", "replace", "era", "restart"))
            found.append(News(process, kind, server, rng.choice(readers)))
        elif draw < 2 * faults + telling + invalidating:
            by = rng.choice(("arguments", "arguments", "tool", "tool", "server", "tag", "principal", "mine", "clear"))
            place = rng.choice(few)
            who = rng.choice(("ann", "bob", "team"))
            found.append(Invalidate(process, by, server, rng.choice(readers[:3]), place, who))
        elif draw < 2 * faults + telling + invalidating + (1 - 2 * faults - telling - invalidating) * busy:
            is_write = rng.random() < writing
            found.append(
                Ask(
                    process=process,
                    server=server if len(few) > 2 else SERVERS[0],
                    tool=rng.choice(WRITERS if is_write else readers),
                    principal=rng.choice(principals),
                    arguments=rng.choice(few),
                    mode=rng.choice((*["use"] * 18, "refresh", "bypass")),
                    takes=rng.choice(_TAKES),
                    outcome=rng.choice(_OUTCOMES),
                    given_up=rng.choice((0.0, 0.0005, 0.01, 0.5)) if rng.random() < 0.05 else None,
                    is_alone=rng.random() < 0.03,
                    is_waited_for=rng.random() < 0.2,
                )
            )
        else:
            found.append(Pass(rng.choice(pauses)))
    return found


def shortest(operations: Sequence[Operation], fails: Callable[[Sequence[Operation]], bool]) -> list[Operation]:
    """Few of these operations that go wrong together: pieces are left out, ever smaller ones, as long as they do."""
    kept = list(operations)
    size = len(kept) // 2
    while size:
        start = 0
        while start < len(kept):
            without = kept[:start] + kept[start + size :]
            if fails(without):
                kept = without
            else:
                start += size
        size //= 2
    return kept
