"""The shared tier's time, as seconds on this process's loop. Pure.

Entries are dated in the server's time, because that is the one clock all processes can ask; no wall clock of ours takes
part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["SharedClock"]


@dataclass(frozen=True, slots=True)
class SharedClock:
    """A reading of the server's clock against the loop's, taken when a link is made and with every probe."""

    offset: float
    """Seconds to add to the loop's time for the server's."""
    error: float
    """Seconds by which that may be wrong: half of what the answer took."""

    @classmethod
    def read(cls, asked: float, answered: float, server: float) -> Self:
        """The reading from an answer `server`, asked for and received at these times of the loop."""
        return cls(server - (asked + answered) / 2, (answered - asked) / 2)

    def shared(self, at: float) -> float:
        """The server's time (Unix seconds) at a moment of the loop's."""
        return at + self.offset

    def local(self, at: float) -> float:
        """The loop's time at a moment of the server's."""
        return at - self.offset
