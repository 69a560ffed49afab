"""Finds out who gives out the tokens for a server: from its metadata (RFC 9728) to that of its issuer (RFC 8414)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from trunkline.policy import ClientCredentials
from trunkline.transport.authorization.challenge import Challenge, read_challenge
from trunkline.transport.authorization.failure import AuthorizationFailed, place, quoted
from trunkline.transport.authorization.fetching import Answer, Fetcher

__all__ = ["Issuer", "canonical", "discover", "of_configuration"]

_STREAM: Final = "application/json, text/event-stream"
"""What MCP servers have a client accept."""
_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who gives out tokens for a server, and what to ask for."""

    token_endpoint: str
    resource: str
    """Whom the tokens are for; empty to say nothing of it."""
    name: str | None = None
    """As its metadata calls it; None where nothing had to be discovered."""
    proofs: tuple[str, ...] = ()
    """How clients may prove who they are; empty where it does not say."""
    scopes: tuple[str, ...] = ()


def canonical(url: str) -> str:
    """A server's address as the name of a resource (RFC 8707, 2): no user, no fragment."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2].lower()
    return urlunsplit(parts._replace(scheme=parts.scheme.lower(), netloc=netloc, fragment=""))


def of_configuration(server: str, credentials: ClientCredentials) -> Issuer | None:
    """The issuer as the configuration has it; None where something has to be discovered."""
    if credentials.token_endpoint is None:
        return None
    resource = canonical(server) if credentials.resource is None else credentials.resource
    return Issuer(credentials.token_endpoint, resource, credentials.issuer, scopes=credentials.scopes)


async def discover(server: str, credentials: ClientCredentials, fetcher: Fetcher, challenge: Challenge) -> Issuer:
    """Ask the server what it wants and of whom, unless the configuration says of whom, and then that issuer.

    `challenge` is what the server said when it refused a request; an empty one where none was made.

    Raises:
        AuthorizationFailed: Something is missing, or does not hold; says what to configure instead.
    """
    resource, scopes = canonical(server), challenge.scopes
    metadata = await _resource_metadata(server, fetcher, challenge)
    if metadata is not None:
        resource, scopes = str(metadata["resource"]), scopes or _texts(metadata.get("scopes_supported"))
    name = credentials.issuer
    if name is None:
        # Before this metadata was specified (2025-03-26), a server was its own authorization server.
        name = _origin(server) if metadata is None else _issuer_of(metadata, server)
        _require_same_host(name, server)
    found = await _issuer_metadata(name, fetcher)
    endpoint = found.get("token_endpoint")
    if not isinstance(endpoint, str) or not urlsplit(endpoint).hostname:
        raise AuthorizationFailed("discovery", f"the metadata of the issuer {place(name)} has no token_endpoint")
    return Issuer(
        endpoint,
        resource if credentials.resource is None else credentials.resource,
        name,
        _texts(found.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        credentials.scopes or scopes,
    )


async def _resource_metadata(server: str, fetcher: Fetcher, challenge: Challenge) -> Mapping[str, Any] | None:
    """What the server says of itself; None where it says nothing."""
    told = challenge.resource_metadata
    if told is None:
        refused = await fetcher.get(canonical(server), accept=_STREAM)
        told = read_challenge(refused.challenges).resource_metadata
    origin, path = _origin(server), urlsplit(server).path.rstrip("/")
    addresses = [told] if told is not None else dict.fromkeys((origin + _RESOURCE + path, origin + _RESOURCE))
    for address in addresses:
        answer = await fetcher.get(address)
        if _is_object(answer):
            _require_for(answer.value, server, address)
            metadata: Mapping[str, Any] = answer.value
            return metadata
        if told is not None:
            problem = f"the server's metadata at {place(address)} cannot be read (HTTP {answer.status})"
            raise AuthorizationFailed("discovery", problem, may_pass=answer.is_of_the_moment)
    return None


def _require_for(metadata: Mapping[str, Any], server: str, address: str) -> None:
    """Metadata is of the server, or somebody else has tokens made out to him (RFC 9728, 3.3)."""
    resource = metadata.get("resource")
    if not isinstance(resource, str) or not _covers(resource, canonical(server)):
        problem = f"the metadata at {place(address)} is of another resource, {quoted(resource)}"
        raise AuthorizationFailed("discovery", problem)


def _covers(resource: str, server: str) -> bool:
    """Whether a resource is the server, or what the server is a part of by its path."""
    theirs, ours = urlsplit(canonical(resource)), urlsplit(server)
    if (theirs.scheme, theirs.netloc) != (ours.scheme, ours.netloc):
        return False
    path = theirs.path.rstrip("/")
    return ours.path.rstrip("/") == path or ours.path.startswith(f"{path}/")


def _issuer_of(metadata: Mapping[str, Any], server: str) -> str:
    issuers = _texts(metadata.get("authorization_servers"))
    if not issuers:
        problem = f"the metadata of {place(server)} names no authorization server; set issuer in its auth"
        raise AuthorizationFailed("discovery", problem)
    return issuers[0]


def _require_same_host(issuer: str, server: str) -> None:
    """A server alone must not decide who is sent our secret."""
    if urlsplit(issuer).hostname != urlsplit(server).hostname:
        problem = (
            f"the server names {quoted(place(issuer))} as its authorization server, on another host; if the client's "
            "credentials belong there, say so with issuer in its auth"
        )
        raise AuthorizationFailed("discovery", problem)


async def _issuer_metadata(name: str, fetcher: Fetcher) -> Mapping[str, Any]:
    asked: list[str] = []
    may_pass = False
    for address in _addresses(name):
        answer = await fetcher.get(address)
        may_pass |= answer.is_of_the_moment
        asked.append(f"{place(address)}: HTTP {answer.status}")
        if not _is_object(answer):
            continue
        # Or one issuer could speak for another (RFC 8414, 3.3).
        if _bare(answer.value.get("issuer")) != _bare(name):
            problem = f"the metadata at {place(address)} is of another issuer, {quoted(answer.value.get('issuer'))}"
            raise AuthorizationFailed("discovery", problem)
        metadata: Mapping[str, Any] = answer.value
        return metadata
    problem = f"the issuer has no metadata ({'; '.join(asked[:_SHOWN])}); set token_endpoint in the server's auth"
    raise AuthorizationFailed("discovery", problem, may_pass=may_pass)


def _addresses(issuer: str) -> Iterator[str]:
    """Where an issuer's metadata may be: RFC 8414, 3.1 and 5, and OpenID Connect Discovery 1.0, 4."""
    origin, path = _origin(issuer), urlsplit(issuer).path.rstrip("/")
    yield origin + _OAUTH + path
    yield origin + _OPENID + path
    if path:
        yield origin + path + _OPENID


def _origin(url: str) -> str:
    parts = urlsplit(canonical(url))
    return f"{parts.scheme}://{parts.netloc}"


def _bare(name: object) -> object:
    """An issuer without the slash that some write behind a host."""
    return name.removesuffix("/") if isinstance(name, str) and urlsplit(name).path == "/" else name


def _is_object(answer: Answer) -> bool:
    return answer.status == 200 and isinstance(answer.value, dict)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
