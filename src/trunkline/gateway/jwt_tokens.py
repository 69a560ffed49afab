"""What a JWT says, if it may be believed: signature, issuer, audience, times. By PyJWT, which the MCP SDK brings."""

from __future__ import annotations

from typing import Final

import jwt

from trunkline.gateway.jwt_keys import JwtKeys
from trunkline.policy import JwtPolicy

__all__ = ["subject_of"]

_LONGEST: Final = 256
"""Characters of a principal's name."""


async def subject_of(token: str, policy: JwtPolicy, keys: JwtKeys) -> str | None:
    """Return the principal that `token` names, or None where it does not hold.

    It has to be signed by a key of the issuer with one of the policy's algorithms, be of that issuer, for this
    audience, and have an end that has not come (RFC 7519; RFC 8725 for why the algorithm is ours to choose).

    Raises:
        KeysUnavailable: The keys cannot be had.
    """
    try:
        header = jwt.get_unverified_header(token)
        key_id = header.get("kid")
        if header.get("alg") not in policy.algorithms or not (key_id is None or isinstance(key_id, str)):
            return None
        key = await keys.key(key_id)
        if key is None:
            return None
        claims = jwt.decode(
            token,
            key,
            algorithms=list(policy.algorithms),
            audience=policy.audience,
            issuer=policy.issuer,
            leeway=policy.leeway,
            options={"require": ["exp", "iss", "aud", policy.claim]},
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    name = claims.get(policy.claim)
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable() else None
