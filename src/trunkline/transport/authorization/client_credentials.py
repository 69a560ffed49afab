"""Fetches access tokens by OAuth client credentials (RFC 6749, 4.4), for one server (RFC 8707)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import anyio

from trunkline.policy import ClientCredentials
from trunkline.transport.authorization.challenge import Challenge
from trunkline.transport.authorization.discovery import Issuer, discover, of_configuration
from trunkline.transport.authorization.failure import AuthorizationFailed, place, quoted
from trunkline.transport.authorization.fetching import Answer, Fetcher
from trunkline.transport.authorization.tokens import Grant

__all__ = ["TokenRequests"]

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_ASSERTED_FOR: Final = 60
"""Seconds an assertion of ours holds."""
_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_ADVICE: Final = {
    "invalid_client": "check client_id and what proves it in the server's auth",
    "unauthorized_client": "the client may not use client credentials: allow it at the authorization server",
    "unsupported_grant_type": "the authorization server does not give out tokens for client credentials",
    "invalid_scope": "check scopes in the server's auth",
    "invalid_target": "check resource in the server's auth",
}
"""By the error codes of RFC 6749, 5.2 and RFC 8707, 2."""


class TokenRequests:
    """Asks for tokens for one server; remembers who gives them out."""

    def __init__(self, server: str, credentials: ClientCredentials) -> None:
        named = (credentials.issuer, credentials.token_endpoint)
        self._server = server
        self._credentials = credentials
        self._fetcher = Fetcher(server, [address for address in named if address])
        self._issuer: Issuer | None = None
        self._scopes: tuple[str, ...] = ()
        """What the last token was to allow."""

    def __repr__(self) -> str:
        return f"<TokenRequests for {place(self._server)}>"

    async def fetch(self, challenge: Challenge | None) -> Grant:
        """Fetch a token; `challenge` is what the server said when it refused the last one, None where it did not.

        Raises:
            AuthorizationFailed: None could be had.
        """
        credentials = self._credentials
        issuer = of_configuration(self._server, credentials)
        if issuer is None:
            if self._issuer is None or challenge is not None:
                found = await discover(self._server, credentials, self._fetcher, challenge or Challenge())
                self._issuer = self._widened(found, challenge)
            issuer = self._issuer
        # After a failure it is looked for anew: it may have moved.
        self._issuer = None
        grant = await self._request(issuer)
        self._issuer, self._scopes = issuer, issuer.scopes
        return grant

    def _widened(self, issuer: Issuer, challenge: Challenge | None) -> Issuer:
        """Who misses a scope for one thing goes on needing those for all others."""
        if challenge is None or challenge.error != "insufficient_scope":
            return issuer
        return replace(issuer, scopes=tuple(dict.fromkeys((*self._scopes, *issuer.scopes))))

    async def _request(self, issuer: Issuer) -> Grant:
        form = {"grant_type": "client_credentials"}
        if issuer.scopes:
            form["scope"] = " ".join(issuer.scopes)
        if issuer.resource:
            form["resource"] = issuer.resource
        headers = await self._prove(form, issuer)
        answer = await self._fetcher.post(issuer.token_endpoint, form, headers, step="token")
        return self._granted(answer, issuer.token_endpoint)

    async def _prove(self, form: dict[str, str], issuer: Issuer) -> dict[str, str]:
        """Add to the form what says who we are; returns the headers that do."""
        credentials = self._credentials
        if credentials.private_key:
            pem, audience = await _pem(credentials.private_key), issuer.name or issuer.token_endpoint
            form |= {
                "client_id": credentials.client_id,
                "client_assertion_type": _ASSERTION,
                "client_assertion": _assertion(credentials, pem, audience),
            }
            return {}
        takes_only_forms = "client_secret_post" in issuer.proofs and "client_secret_basic" not in issuer.proofs
        proof = credentials.proof or ("client_secret_post" if takes_only_forms else "client_secret_basic")
        if proof == "client_secret_post":
            form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret or ""}
            return {}
        return {"authorization": f"Basic {credentials.basic}"}

    def _granted(self, answer: Answer, endpoint: str) -> Grant:
        said: Mapping[str, Any] = answer.value if isinstance(answer.value, dict) else {}
        if answer.status != 200:
            raise AuthorizationFailed(
                "token",
                _refusal(answer, said, endpoint),
                may_pass=answer.is_of_the_moment,
                retry_after=answer.retry_after,
            )
        token, kind = said.get("access_token"), said.get("token_type")
        if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
            raise AuthorizationFailed("token", f"{place(endpoint)} answered without an access_token that can be sent")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            problem = f"{place(endpoint)} gave out a token of the kind {quoted(kind)}, and only Bearer is known here"
            raise AuthorizationFailed("token", problem)
        lifetime = said.get("expires_in")
        is_number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool) and lifetime > 0
        return Grant(token, float(lifetime) if is_number and lifetime is not None else None)


def _refusal(answer: Answer, said: Mapping[str, Any], endpoint: str) -> str:
    """Why there is no token, without the description: an authorization server may say again what it was sent."""
    code = said.get("error")
    is_code = isinstance(code, str) and _CODE.fullmatch(code) is not None
    words = f"{place(endpoint)} answered HTTP {answer.status}" + (f", {code}" if is_code else "")
    advice = _ADVICE.get(code) if isinstance(code, str) else None
    if advice is None and answer.status in (401, 403):
        advice = _ADVICE["invalid_client"]
    return f"{words}; {advice}" if advice else words


async def _pem(key: str) -> str:
    if key.lstrip().startswith("-----BEGIN"):
        return key
    try:
        return await anyio.Path(key).read_text()
    except (OSError, ValueError) as error:
        problem = f"the file that private_key names cannot be read ({type(error).__name__})"
        raise AuthorizationFailed("token", problem) from None


def _assertion(credentials: ClientCredentials, pem: str, audience: str) -> str:
    """A token of our own that says who we are (RFC 7523, 3)."""
    import jwt  # noqa: PLC0415 - costs a tenth of a second, and few need it

    now = int(time.time())
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.client_id,
        "aud": audience,
        "iat": now,
        "exp": now + _ASSERTED_FOR,
        "jti": secrets.token_urlsafe(16),
    }
    headers = {"kid": credentials.key_id} if credentials.key_id else None
    try:
        return jwt.encode(claims, pem, algorithm=credentials.algorithm, headers=headers)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        problem = f"private_key does not sign with {credentials.algorithm} ({type(error).__name__})"
        raise AuthorizationFailed("token", problem) from None
