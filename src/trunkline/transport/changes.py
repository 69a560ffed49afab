"""What a server tells of changes, in whichever era: by notifications, or on a stream that has to be asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import mcp_types as types

__all__ = ["Changed", "Listing", "announced", "read_change"]

Listing: TypeAlias = Literal["tools", "prompts", "resources"]
Changed: TypeAlias = Callable[[Listing, str | None], None]
"""`(listing, uri)`: told that a listing changed; with a URI, that the content of that resource did."""


def read_change(message: object) -> tuple[Listing, str | None] | None:
    """What a notification tells; None where it is about something else."""
    match message:
        case types.ToolListChangedNotification():
            return "tools", None
        case types.PromptListChangedNotification():
            return "prompts", None
        case types.ResourceListChangedNotification():
            return "resources", None
        case types.ResourceUpdatedNotification():
            return "resources", str(message.params.uri)
        case _:
            return None


def announced(capabilities: types.ServerCapabilities) -> tuple[Listing, ...]:
    """The listings whose changes the server says it tells of."""
    tools, prompts, resources = capabilities.tools, capabilities.prompts, capabilities.resources
    told: list[Listing] = []
    if tools is not None and tools.list_changed:
        told.append("tools")
    if prompts is not None and prompts.list_changed:
        told.append("prompts")
    if resources is not None and resources.list_changed:
        told.append("resources")
    return tuple(told)
