"""Whose a token is: one of the configured ones, known by its hash, or a JWT of the configured issuer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from trunkline.gateway.jwt_keys import JwtKeys
from trunkline.gateway.jwt_tokens import subject_of
from trunkline.gateway.principals import Principal
from trunkline.policy import GatewaySettings, PrincipalPolicy

__all__ = ["Tokens"]

_LONGEST: Final = 16384
"""Characters of a token; a longer one is nobody's."""
_OTHERS: Final = "*"


class Tokens:
    """The tokens of one configuration."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._policies: Mapping[str, PrincipalPolicy] = settings.principals
        self._by_hash = {
            digest: Principal(name, policy)
            for name, policy in settings.principals.items()
            for digest in policy.token_sha256
        }
        self._jwt = settings.jwt
        self._keys = None if settings.jwt.jwks is None else JwtKeys(settings.jwt.jwks, refresh=settings.jwt.refresh)

    def __repr__(self) -> str:
        return f"<Tokens [{len(self._by_hash)} known, {'JWT' if self._keys else 'no JWT'}]>"

    async def principal(self, token: str) -> Principal | None:
        """Return whose `token` is, or None.

        Raises:
            KeysUnavailable: It is a JWT, and the issuer's keys cannot be had.
        """
        if len(token) > _LONGEST:
            return None
        # The hash is what is looked up, so how long that takes tells nothing of a token.
        known = self._by_hash.get(hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest())
        if known is not None or self._keys is None or token.count(".") != 2:
            return known
        name = await subject_of(token, self._jwt, self._keys)
        if name is None or name == _OTHERS:
            return None
        policy = self._policies.get(name, self._policies.get(_OTHERS))
        return None if policy is None else Principal(name, policy)
