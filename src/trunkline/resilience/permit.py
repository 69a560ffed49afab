"""What passes between the circuit and whoever makes an attempt: leave to make it, and what it proved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Permit", "Verdict"]


class Verdict(Enum):
    """What an attempt says about its server."""

    SUCCESS = "success"
    FAILURE = "failure"
    """Also an attempt that was abandoned because the caller's deadline passed: the server was too slow."""
    NOTHING = "nothing"
    """Refused on this side, or cancelled by its caller: no evidence either way."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one attempt. Hand it back to `Circuit.release` exactly once, however the attempt ended."""

    generation: int
    """Transitions of the circuit so far: an outcome counts only in the state that admitted its attempt."""
    is_probe: bool = False
    """Whether the attempt decides if the circuit closes."""
    ticket: int = 0
    """Tells probes apart: only the latest holds the lease. 0 for an attempt that is no probe."""
