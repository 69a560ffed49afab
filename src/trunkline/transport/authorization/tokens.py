"""The access token of one server, fetched by one task for everybody: nobody holds a lock over a request.

Whoever needs a token while there is none waits for that task; whoever stops waiting harms nobody. The next token is
fetched before the present one ends, and requests go on with the present one meanwhile.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import anyio

from trunkline import clock
from trunkline.resilience.renewal import Renewal
from trunkline.secrets import Secrets
from trunkline.transport.authorization.challenge import Challenge
from trunkline.transport.authorization.failure import AuthorizationFailed

__all__ = ["AccessTokens", "Fetch", "Grant"]

_PATIENCE: Final = 30.0
"""Seconds in which a token has to be had, discovery included."""
_UNDER_WAY: Final = 3
"""Tokens that are kept out of sight: an answer may come late, and say one that has been replaced."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and how long it holds."""

    token: str = field(repr=False)
    lifetime: float | None = None
    """Seconds; None where nobody spoke of it."""


Fetch: TypeAlias = Callable[[Challenge | None], Awaitable[Grant]]


class AccessTokens:
    """Has a token ready. Its task runs while `running` is entered; the rest may be called from any task."""

    def __init__(self, fetch: Fetch, rng: random.Random) -> None:
        """Fetch by `fetch`, which raises AuthorizationFailed; it is given the challenge of a refused token."""
        self._fetch = fetch
        self._renewal = Renewal(rng)
        self._token: str | None = None
        self._failure: AuthorizationFailed | None = None
        self._challenge: Challenge | None = None
        self._wanted = anyio.Event()
        self._changed = anyio.Event()
        self._latest: deque[str] = deque(maxlen=_UNDER_WAY)
        self.secrets = Secrets()
        """The tokens that may still be under way: the present one and those before."""

    def __repr__(self) -> str:
        return f"<AccessTokens [{'one' if self._token else 'none'} in use, {self._renewal!r}]>"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch tokens while the block lasts."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def token(self) -> str:
        """Return a token that is good, at once where there is one.

        Raises:
            AuthorizationFailed: None can be had, and it is too early to ask for one again.
        """
        while True:
            now = clock.now()
            if self._token is not None and self._renewal.is_good(now):
                return self._token
            if self._failure is not None and now < self._renewal.may_fetch_at:
                raise self._failure.after(self._renewal.may_fetch_at - now)
            self._wanted.set()
            await self._changed.wait()

    def accepted(self, token: str) -> None:
        """A server took a token."""
        if token == self._token:
            self._renewal.accepted()

    async def instead_of(self, token: str, challenge: Challenge) -> str | None:
        """Return another token than this one, which a server refused; None where the next would be refused too.

        Of all whose requests were refused with the same token, the first has another one fetched.

        Raises:
            AuthorizationFailed: As `token`.
        """
        if token == self._token:
            if not self._renewal.refused(clock.now()):
                return None
            self._token, self._challenge = None, challenge
        return await self.token()

    async def _keep(self) -> None:
        while True:
            await self._until_due()
            asked_at, challenge = clock.now(), self._challenge
            try:
                with anyio.fail_after(_PATIENCE):
                    grant = await self._fetch(challenge)
            except AuthorizationFailed as error:
                self._fail(error)
            except TimeoutError:
                self._fail(AuthorizationFailed("token", f"none within {_PATIENCE:g} s", may_pass=True))
            except Exception as error:  # boundary: whatever a stranger's metadata make of us ends this try only
                problem = f"what was answered cannot be understood ({type(error).__name__})"
                self._fail(AuthorizationFailed("discovery", problem))
            else:
                self._renewal.granted(asked_at, clock.now(), grant.lifetime)
                self._latest.append(grant.token)
                self.secrets = Secrets(self._latest)
                self._token, self._failure, self._challenge = grant.token, None, None
            # Who asked meanwhile has an answer too.
            self._wanted = anyio.Event()
            self._changed.set()
            self._changed = anyio.Event()

    def _fail(self, error: AuthorizationFailed) -> None:
        self._failure = error
        self._renewal.failed(clock.now(), error.retry_after, at_server=error.at_server)

    async def _until_due(self) -> None:
        while (at := self._renewal.next_fetch(is_wanted=self._wanted.is_set())) > clock.now():
            with anyio.move_on_after(at - clock.now()):
                if self._wanted.is_set():
                    await anyio.sleep_until(at)
                else:
                    await self._wanted.wait()
