"""An answer that several callers share: each is given an object of its own, or all the same one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcp_types import Result

from trunkline.cache.bodies import parsed
from trunkline.cache.entry import Entry
from trunkline.cache.tiers import Held

__all__ = ["Landing", "given"]


@dataclass(slots=True)
class Landing:
    """What a flight ended with."""

    found: Literal["miss", "hit", "stale"]
    """Whether the server was asked, or the shared tier had it."""
    result: Result | None = None
    """The server's own answer; None where an entry was found."""
    held: Held | None = None
    """The entry; None where the answer is not kept."""

    def take(self, *, is_only: bool) -> Result:
        """One caller's answer; raises `ValueError` for an entry that cannot be read.

        Who is the only one has the server's own object; of several, each one that was made for it.
        """
        result = self.result
        if result is not None and (is_only or self.held is None):
            return result if is_only else result.model_copy(deep=True)
        if self.held is None:
            msg = "a flight that landed has an answer or an entry"
            raise ValueError(msg)
        return given(self.held)


def given(held: Held) -> Result:
    """The answer of an entry; raises `ValueError` where it cannot be read."""
    if held.parsed is not None:
        # The same content for all; a shell of its own for each, since it says where the answer came from.
        return held.parsed.model_copy()
    entry: Entry = held.entry
    return parsed(entry.method, entry.body)
