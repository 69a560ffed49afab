"""Who used which tool, when, and how it went: one log record for each use, without arguments or results."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Self

from mcp import MCPError

from trunkline import clock
from trunkline.afterwards import afterwards
from trunkline.errors import CallError
from trunkline.gateway.principals import Principal

__all__ = ["Audit", "Use", "note_overuse"]

_LOGGER = logging.getLogger("trunkline.audit")
_LONGEST = 128
"""Characters of a name that is written down: it may be anything a caller made up."""


class Use:
    """One use of a tool: as a context, it is noted at the end, however that comes about."""

    def __init__(self, tool: str, principal: Principal, is_wanted: Callable[[], bool]) -> None:
        self.outcome = "cancelled"
        """`ok`, `tool_error`, the code of an error, `refused`, `error` for a bug of ours, or `cancelled`."""
        self._tool = tool
        self._principal = principal
        self._is_wanted = is_wanted
        self._began = clock.now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, CallError):
            self.outcome = error.code
        elif isinstance(error, MCPError):
            self.outcome = "refused"
        elif isinstance(error, Exception):
            self.outcome = "error"
        if self._is_wanted():
            afterwards(partial(self._note, clock.now() - self._began))

    def _note(self, duration: float) -> None:
        extra = {
            "trunkline_principal": self._principal.name,
            "trunkline_tool": self._tool[:_LONGEST],
            "trunkline_outcome": self.outcome,
            "trunkline_duration": duration,
        }
        _LOGGER.info("tool_used", extra=extra)


class Audit:
    """Writes the audit log; `is_wanted` is asked at each use."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted

    def use_of(self, tool: str, principal: Principal) -> Use:
        """Note one use, which begins now."""
        return Use(tool, principal, self._is_wanted)


def note_overuse(principal: str, refused: int) -> None:
    """Note that requests of a principal were refused for being too many, and how many since the last note."""
    extra = {"trunkline_principal": principal, "trunkline_refused": refused}
    _LOGGER.warning("too_many_requests", extra=extra)
