"""The public keys of an issuer (RFC 7517): read when they are needed, kept, and read again now and then.

Whoever sends a token with an unknown key asks for a reading; so one is made at most every half minute, for all who ask.
When the issuer cannot be reached, the keys known before go on counting.
"""

from __future__ import annotations

import json
from math import inf
from typing import Final

import anyio
import anyio.to_thread
import httpx2
import jwt

from trunkline.transport.authorities import authorities

__all__ = ["PAUSE", "JwtKeys", "KeysUnavailable"]

PAUSE: Final = 30.0
"""Seconds between two readings, whatever is asked for."""
_PATIENCE: Final = 5.0
"""Seconds that one reading may take."""
_LARGEST: Final = 262_144
"""Bytes of a key set."""


class KeysUnavailable(Exception):
    """No keys are known and none can be had; the message says why."""


class JwtKeys:
    """The keys at one address, or in one file."""

    def __init__(self, source: str, *, refresh: float) -> None:
        """`refresh`: seconds after which they are read again."""
        self._source = source
        self._refresh = refresh
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = self._tried_at = -inf
        self._turn = anyio.Lock()
        self._reason = "not read yet"

    def __repr__(self) -> str:
        return f"<JwtKeys [{len(self._keys)} known]>"

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key with that `kid`, or the only one for None; None where the issuer has none such.

        Raises:
            KeysUnavailable: No keys are known.
        """
        now = anyio.current_time()
        is_old = now - self._read_at >= self._refresh
        if (is_old or self._found(key_id) is None) and now - self._tried_at >= PAUSE:
            async with self._turn:
                # Whoever waited for the turn finds what the one before has read.
                if anyio.current_time() - self._tried_at >= PAUSE:
                    await self._read()
        if not self._keys:
            raise KeysUnavailable(self._reason)
        return self._found(key_id)

    def _found(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def _read(self) -> None:
        self._tried_at = anyio.current_time()
        try:
            with anyio.fail_after(_PATIENCE):
                data = await (self._fetched() if "://" in self._source else self._from_file())
            found = jwt.PyJWKSet.from_dict(json.loads(data))
        except (
            OSError,
            TimeoutError,
            httpx2.HTTPError,
            ValueError,
            TypeError,
            AttributeError,
            jwt.PyJWTError,
        ) as error:
            self._reason = f"the issuer's keys cannot be read ({type(error).__name__})"
            return
        self._keys = {key.key_id: key for key in found.keys if key.public_key_use in (None, "sig")}
        self._read_at = self._tried_at
        self._reason = "the issuer has no key for signatures"

    async def _from_file(self) -> bytes:
        return await anyio.Path(self._source).read_bytes()

    async def _fetched(self) -> bytes:
        """What is at the address; a redirect is not followed, as nobody has looked at where it leads."""
        async with (
            httpx2.AsyncClient(verify=authorities(), timeout=_PATIENCE, trust_env=False) as client,
            client.stream("GET", self._source, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != 200:
                message = f"status {answer.status_code}"
                raise ValueError(message)
            data = bytearray()
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > _LARGEST:
                    message = "too large"
                    raise ValueError(message)
            return bytes(data)
