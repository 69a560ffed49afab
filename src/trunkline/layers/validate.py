"""Validate layer: a malformed call costs nothing. Above cache and retry, so nothing is spent on it."""

from __future__ import annotations

from mcp_types import Result

from trunkline.call import Call, Service
from trunkline.errors import InvalidArguments

__all__ = ["ValidateLayer"]


class ValidateLayer:
    """Checks a tool's arguments against its input schema before anything is sent.

    Raises:
        InvalidArguments: With one line per mistake that says where, what was found and what was expected.
    """

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Pass the call on if its arguments fit."""
        problems = call.problems(call.arguments) if call.problems is not None else ()
        if problems:
            listed = "; ".join(problems)
            raise InvalidArguments(
                f"arguments of {call.name!r} do not fit its schema: {listed}",
                problems=problems,
                tool=call.name,
                server=call.server,
            )
        return await call_next(call)
