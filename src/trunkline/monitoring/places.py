"""How many names may have windows of their own: the bound on the memory that the recent past takes.

Shared by the families of a store. Some places are kept for each of them, so that a flood of tools, whose names come
from servers nobody vouches for, leaves places for domains and servers.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Places"]

_KEPT: Final = 16
"""One place in so many is kept for each family."""


class Places:
    """At most `limit` places for `families` families that grow as names come up."""

    def __init__(self, limit: int, *, families: int) -> None:
        self.limit = limit
        """Places in all, 1 or more."""
        self.kept = limit // _KEPT
        """Places that each family has for itself."""
        self._shared = limit - families * self.kept

    def __repr__(self) -> str:
        return f"<Places [{self._shared} of {self.limit} free to all, {self.kept} kept for each]>"

    def take(self, held: int) -> bool:
        """Take a place for a family that holds `held`; False when there is none left for it."""
        if held < self.kept:
            return True
        # Of two threads that come at once, both may get the last one: that is all the harm.
        if self._shared <= 0:
            return False
        self._shared -= 1
        return True
