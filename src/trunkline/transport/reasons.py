"""Why a session could not be opened or kept, in words fit to show anybody. Sits beside the fault table.

The words come from servers and networks, so they are cut short, freed of control characters, and anything that the
endpoint's configuration holds in its headers or environment is blotted out.
"""

from __future__ import annotations

import re

from mcp import MCPError

from trunkline.endpoint import Endpoint, HttpEndpoint, InProcessEndpoint, StdioEndpoint
from trunkline.transport.http import describe
from trunkline.transport.wire import Wire

__all__ = ["SessionFailed", "presentable", "reason_for"]

_LONGEST = 300
_SHORTEST_SECRET = 6
"""Characters; blotting out shorter values would eat ordinary words."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class SessionFailed(Exception):
    """A session could not be opened, or a request of our own on it failed. The message is fit to show."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless
        """Whether waiting a little cannot help: the program is missing or may not be started."""


def reason_for(error: BaseException, wire: Wire) -> str:
    """What went wrong, from the exception and from what the transport noted."""
    if wire.fault is not None:
        return describe(wire.fault)
    if wire.status is not None and wire.status >= 400:
        hint = ", check the configured headers" if wire.status in (401, 403) else ""
        return f"HTTP {wire.status}{hint}"
    match _first_leaf(error):
        case FileNotFoundError() as leaf:
            return f"program or folder not found: {leaf.filename}"
        case PermissionError() as leaf:
            return f"not permitted to start {leaf.filename}"
        case MCPError() as leaf:
            return leaf.message
        case leaf:
            return str(leaf) or type(leaf).__name__


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def presentable(text: str, endpoint: Endpoint) -> str:
    """`text` on one line, cut short, without the endpoint's secrets."""
    for secret in _secrets(endpoint):
        text = text.replace(secret, "[redacted]")
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _secrets(endpoint: Endpoint) -> list[str]:
    match endpoint:
        case StdioEndpoint():
            values = list(endpoint.env.values())
        case HttpEndpoint():
            # Of "Bearer abc" the part after the space is the secret.
            values = [part for value in endpoint.headers.values() for part in (value, value.rpartition(" ")[2])]
            values += [endpoint.url] if endpoint.url != endpoint.label else []
        case InProcessEndpoint():
            values = []
    return sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
