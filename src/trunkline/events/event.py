"""What every event has, and the two functions that carry events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Emit", "Event", "Observer"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    at: float
    """Seconds on the event loop's clock."""


Observer: TypeAlias = Callable[[Event], None]
Emit: TypeAlias = Callable[[Event], None]
