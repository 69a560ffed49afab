"""Why a session could not be opened or kept, in words fit to show anybody. Sits beside the fault table.

The words come from servers and networks, so they are cut short, freed of control characters, and anything that the
endpoint's configuration holds in its headers or environment is blotted out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from mcp import MCPError

from trunkline.endpoint import Endpoint, HttpEndpoint, InProcessEndpoint, StdioEndpoint
from trunkline.secrets import Secrets
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.network import describe
from trunkline.transport.wire import Wire

__all__ = ["Blots", "SessionFailed", "presentable", "reason_for", "words_in"]

_LONGEST = 300
_WORD = re.compile(r"\w+")
_WORDS = 500
"""Of one text; who logs arguments logs their beginning."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class SessionFailed(Exception):
    """A session could not be opened, or a request of our own on it failed. The message is fit to show."""

    def __init__(self, reason: str, *, hopeless: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless
        """Whether waiting a little cannot help: the program is missing or may not be started, or we are not let in."""
        self.refused = refused
        """Whether the server does not know the handshake."""


def reason_for(error: BaseException, wire: Wire) -> str:
    """What went wrong, from the exception and from what the transport noted."""
    if wire.fault is not None:
        return describe(wire.fault)
    if wire.status is not None and wire.status >= 400:
        hint = ", check the configured headers or auth" if wire.status in (401, 403) else ""
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


def presentable(text: str, secrets: Secrets) -> str:
    """`text` on one line, cut short, without the secrets."""
    text = _CONTROL.sub(" ", secrets.mask(text)).strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class Blots:
    """What must not be in words about one endpoint: what its server was given, and the tokens of the moment."""

    def __init__(self, endpoint: Endpoint, authorization: Authorization) -> None:
        self._endpoint = endpoint
        self._authorization = authorization
        self._given = _given_to(endpoint)

    def __repr__(self) -> str:
        return f"<Blots [{len(self.now)} values]>"

    @property
    def now(self) -> Secrets:
        """In words about failures: beside its secrets, all that the server was given."""
        return self._authorization.with_tokens(self._given)

    @property
    def listed(self) -> Secrets:
        """In what the server says of its tools: its secrets alone, or ordinary words would be taken out."""
        return self._authorization.with_tokens(self._endpoint.secrets)


def _given_to(endpoint: Endpoint) -> Secrets:
    match endpoint:
        case StdioEndpoint():
            given = Secrets(endpoint.env.values())
        case HttpEndpoint():
            address = (endpoint.url,) if endpoint.url != endpoint.label else ()
            given = Secrets((*endpoint.headers.values(), *address))
        case InProcessEndpoint():
            given = Secrets()
    return Secrets.union((endpoint.secrets, given))


def words_in(arguments: Any) -> Iterator[str]:
    """What a call's arguments are told by: their texts, whole and word by word, and their numbers."""
    match arguments:
        case str():
            yield arguments
            yield from (found[0] for found in islice(_WORD.finditer(arguments), _WORDS))
        case bool() | None:
            return
        case int() | float():
            yield str(arguments)
        case Mapping():
            for value in arguments.values():
                yield from words_in(value)
        case list() | tuple():
            for value in arguments:
                yield from words_in(value)
