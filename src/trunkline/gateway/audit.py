"""Who used which tool, when, and how it went: one log record for each use, without arguments or results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from mcp import MCPError

from trunkline.errors import CallError
from trunkline.gateway.principals import Principal

__all__ = ["Audit", "Use", "note_overuse"]

_LOGGER = logging.getLogger("trunkline.audit")
_LONGEST = 128
"""Characters of a name that is written down: it may be anything a caller made up."""


@dataclass(slots=True)
class Use:
    """One use of a tool, while it lasts."""

    outcome: str = "cancelled"
    """`ok`, `tool_error`, the code of an error, `refused`, `error` for a bug of ours, or `cancelled`."""


class Audit:
    """Writes the audit log; `is_wanted` is asked at each use."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted

    @contextmanager
    def use_of(self, tool: str, principal: Principal) -> Iterator[Use]:
        """Note one use, however it ends."""
        use, began = Use(), anyio.current_time()
        try:
            yield use
        except CallError as error:
            use.outcome = error.code
            raise
        except MCPError:
            use.outcome = "refused"
            raise
        except Exception:
            use.outcome = "error"
            raise
        finally:
            if self._is_wanted():
                _LOGGER.info(
                    "tool_used",
                    extra={
                        "trunkline_principal": principal.name,
                        "trunkline_tool": tool[:_LONGEST],
                        "trunkline_outcome": use.outcome,
                        "trunkline_duration": anyio.current_time() - began,
                    },
                )


def note_overuse(principal: str, refused: int) -> None:
    """Note that requests of a principal were refused for being too many, and how many since the last note."""
    extra = {"trunkline_principal": principal, "trunkline_refused": refused}
    _LOGGER.warning("too_many_requests", extra=extra)
