"""Puts credentials on the requests to one server, below what keeps each request's faults to itself.

Here, and not at the client above: a flow that fails there would end the session and every call on it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx2

from trunkline.endpoint import Endpoint, HttpEndpoint
from trunkline.policy import ClientCredentials
from trunkline.secrets import Secrets
from trunkline.transport.authorization.challenge import Challenge, read_challenge
from trunkline.transport.authorization.client_credentials import TokenRequests
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.authorization.tokens import AccessTokens
from trunkline.transport.wire import WIRE_EXTENSION, Wire

__all__ = ["Authorization", "BearerAuth"]

_TIMEOUT: Final = httpx2.Timeout(30.0).as_dict()
"""Seconds for each step of a request that a flow makes besides the one it is for: httpx2 gives those no limit."""
_REFUSALS: Final = (401, 403)


class Authorization:
    """How the requests to one endpoint are authorised; one for all its connections, now and later."""

    def __init__(self, endpoint: Endpoint, rng: random.Random) -> None:
        given = endpoint.auth if isinstance(endpoint, HttpEndpoint) else None
        self._tokens: AccessTokens | None = None
        self._auth: httpx2.Auth | None = None
        if isinstance(endpoint, HttpEndpoint) and isinstance(given, ClientCredentials):
            self._tokens = AccessTokens(TokenRequests(endpoint.url, given).fetch, rng)
            self._auth = BearerAuth(self._tokens, endpoint.url, may_widen=not given.scopes)
        elif isinstance(given, httpx2.Auth):
            self._auth = given

    def __repr__(self) -> str:
        how = type(self._auth).__name__ if self._auth else "none"
        return f"<Authorization {how if self._tokens is None else repr(self._tokens)}>"

    def with_tokens(self, secrets: Secrets) -> Secrets:
        """What must not be in anything that is shown: these secrets, and the tokens in use."""
        tokens = None if self._tokens is None else self._tokens.secrets
        return Secrets.union((secrets, tokens)) if tokens else secrets

    def over(self, inner: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
        """The transport whose requests are authorised and go through `inner`."""
        return inner if self._auth is None else _AuthorizedTransport(inner, self._auth)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch tokens, where it does, while the block lasts."""
        if self._tokens is None:
            yield
            return
        async with self._tokens.running():
            yield


class BearerAuth(httpx2.Auth):
    """Sends the token there is, and once another one where the server refuses it: a refused request has not run."""

    def __init__(self, tokens: AccessTokens, server: str, *, may_widen: bool) -> None:
        """`may_widen`: whether a server may ask for more scopes than it did at first."""
        self._tokens = tokens
        self._origin = urlsplit(server)[:2]
        self._may_widen = may_widen

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Authorise one request, if it is to the server itself: no redirect takes a token elsewhere."""
        if urlsplit(str(request.url))[:2] != self._origin:
            yield request
            return
        token = await self._tokens.token()
        response = yield _with(token, request)
        challenge = self._challenge_of(response)
        if challenge is None:
            self._tokens.accepted(token)
            return
        other = await self._tokens.instead_of(token, challenge)
        if other is not None:
            response = yield _with(other, request)
            if self._challenge_of(response) is None:
                self._tokens.accepted(other)

    def _challenge_of(self, response: httpx2.Response) -> Challenge | None:
        """What the server wants of another token; None where it took this one."""
        if response.status_code not in _REFUSALS:
            return None
        challenge = read_challenge(response.headers.get_list("www-authenticate"))
        if response.status_code == 401:
            return challenge
        is_narrow = challenge.error == "insufficient_scope" and bool(challenge.scopes)
        return challenge if is_narrow and self._may_widen else None


def _with(token: str, request: httpx2.Request) -> httpx2.Request:
    request.headers["authorization"] = f"Bearer {token}"
    return request


class _AuthorizedTransport(httpx2.AsyncBaseTransport):
    """Runs the flow of an `httpx2.Auth` for each request; what it raises is this request's fault."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, auth: httpx2.Auth) -> None:
        self._client = httpx2.AsyncClient(transport=_Steps(inner))
        self._auth = auth

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._client.send(request, stream=True, auth=self._auth, follow_redirects=False)
        except httpx2.TransportError:
            raise
        except Exception as error:  # boundary: the flow may be the user's, and its words may hold what it sent
            problem = f"its httpx2.Auth failed with {type(error).__name__}"
            raise AuthorizationFailed("auth", problem) from None
        if response.is_stream_consumed:
            # The flow has read the answer that it leaves; whoever asked reads it again.
            headers = [pair for pair in response.headers.multi_items() if pair[0].lower() not in _OF_THE_BODY]
            return httpx2.Response(response.status_code, headers=headers, content=response.content)
        return response

    async def aclose(self) -> None:
        await self._client.aclose()


_OF_THE_BODY: Final = ("content-encoding", "content-length", "transfer-encoding")


class _Steps(httpx2.AsyncBaseTransport):
    """Every exchange of a flow: none without a limit, and of a refused request it is noted that it has not run."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions.setdefault("timeout", _TIMEOUT)
        response = await self._inner.handle_async_request(request)
        wire = request.extensions.get(WIRE_EXTENSION)
        if isinstance(wire, Wire) and response.status_code in _REFUSALS:
            wire.refused()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
