"""Where a server is and how it is reached; with its policy, one server's settings. Frozen, checked at birth.

What could hold a credential (headers, environment, arguments, the query of a URL) is left out of every `repr`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from trunkline.call import Place
from trunkline.policy import ClientCredentials, ServerPolicy, require
from trunkline.secrets import Secrets, secrets_in

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "Endpoint",
    "HttpEndpoint",
    "InProcessEndpoint",
    "ServerSettings",
    "StdioEndpoint",
    "place_of",
    "settings_of",
]


@dataclass(frozen=True, slots=True)
class StdioEndpoint:
    """A server started as a child process that speaks over its standard input and output."""

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    """Not shown anywhere: many servers take their key as an argument."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to a minimal inherited environment (HOME, LOGNAME, PATH, SHELL, TERM, USER)."""
    cwd: str | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Values that are secrets although it cannot be seen where they stand: those that variables gave."""
    secrets: Secrets = field(init=False, repr=False, compare=False)
    """What must not be shown of what the server says: it may say again what it was given."""

    @property
    def label(self) -> str:
        """What may be shown of it: the program, never its arguments."""
        return self.secrets.mask(f"stdio:{self.command.rsplit('/', 1)[-1]}")

    @property
    def identity(self) -> str:
        """What tells it from other servers. To be hashed, never to be shown."""
        return json.dumps(["stdio", self.command, *self.args, self.cwd])

    def __post_init__(self) -> None:
        require(bool(self.command), "command", self.command, "the program to start")
        given = secrets_in({"args": self.args, "env": self.env})
        object.__setattr__(self, "secrets", Secrets((*self.hidden, *given)))


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """A server reached over Streamable HTTP."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: ClientCredentials | httpx2.Auth | None = field(default=None, repr=False)
    """How requests are authorised beyond the headers: by tokens for client credentials, or by a flow of your own."""
    hidden: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Values that are secrets although it cannot be seen where they stand: those that variables gave."""
    secrets: Secrets = field(init=False, repr=False, compare=False)
    """What must not be shown of what the server says: it may say again what it was sent."""

    @property
    def label(self) -> str:
        """What may be shown of it: scheme, host, port and path; no user information, no query, no key in the path."""
        parts = urlsplit(self.url)
        return self.secrets.mask(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")

    @property
    def identity(self) -> str:
        """What tells it from other servers: the address without user information. To be hashed, never to be shown."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def has_credentials(self) -> bool:
        """Whether its headers authorise its requests."""
        return any(name.lower() == "authorization" for name in self.headers)

    def __post_init__(self) -> None:
        # A mistaken address may hold a credential like any other.
        shown = self.url.partition("#")[0].partition("?")[0].rpartition("@")[2]
        require(self.url.startswith(("http://", "https://")), "url", shown, "an http:// or https:// address")
        require(self.auth is None or not self.has_credentials, "auth", "it and an Authorization header", "one of both")
        own: tuple[str, ...] = ()
        if isinstance(self.auth, ClientCredentials):
            require(bool(self.auth.client_id), "auth", "no client_id", "one")
            own = self.auth.secret_values
        given = (*own, *secrets_in({"url": self.url, "headers": self.headers}))
        object.__setattr__(self, "secrets", Secrets((*self.hidden, *given)))


@dataclass(frozen=True, slots=True)
class InProcessEndpoint:
    """A server object of the MCP SDK in this process: for tests, examples and embedded tools."""

    server: Any = field(repr=False)
    """An `mcp.server.Server` or `mcp.server.MCPServer`."""
    secrets: Secrets = field(default_factory=Secrets, init=False, repr=False, compare=False)
    """None: nothing of a configuration reaches it."""

    @property
    def label(self) -> str:
        """What may be shown of it."""
        return "in-process"

    @property
    def identity(self) -> str:
        """What tells it from other servers: nothing, beside its name."""
        return self.label


Endpoint: TypeAlias = StdioEndpoint | HttpEndpoint | InProcessEndpoint


def place_of(endpoint: Endpoint, server: str, replica: str | None) -> Place:
    """What may be told of where the attempts at a replica go."""
    if isinstance(endpoint, HttpEndpoint):
        try:
            parts = urlsplit(endpoint.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:  # no address anybody can connect to: what tries to says so
            return Place(server, replica, "tcp")
        return Place(server, replica, "tcp", parts.hostname, port)
    return Place(server, replica, "pipe" if isinstance(endpoint, StdioEndpoint) else None)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server: what it is called here, where it is, and what its stack obeys."""

    name: str
    endpoint: Endpoint
    policy: ServerPolicy = field(default_factory=ServerPolicy)
    replicas: tuple[Endpoint, ...] = ()
    """Further places where the same server runs; any of them may be given any call."""

    @property
    def places(self) -> dict[str | None, Endpoint]:
        """Every place by the name of its replica: its label, numbered where two are alike; None for a lone server."""
        if not self.replicas:
            return {None: self.endpoint}
        places: dict[str | None, Endpoint] = {}
        for endpoint in (self.endpoint, *self.replicas):
            alike = sum(endpoint.label == other.label for other in places.values())
            places[f"{endpoint.label}#{alike + 1}" if alike else endpoint.label] = endpoint
        return places


def settings_of(
    servers: Mapping[str, Endpoint | ServerSettings | str] | Iterable[ServerSettings],
) -> list[ServerSettings]:
    """Servers as users write them: by name an endpoint, a URL or settings, or settings alone."""
    if not isinstance(servers, Mapping):
        return list(servers)
    found = []
    for name, given in servers.items():
        if isinstance(given, ServerSettings):
            found.append(given)
        else:
            found.append(ServerSettings(name, HttpEndpoint(given) if isinstance(given, str) else given))
    return found
