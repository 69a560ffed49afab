"""When an access token is fetched: early, so that nobody waits for it, and seldom while that fails. Pure."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

__all__ = ["Renewal"]

_EARLY: Final = (0.70, 0.85)
"""Shares of a token's lifetime between which the next one is fetched: processes that started together do not all ask
at once, and what is left of the lifetime outlasts a short outage of the authorization server."""
_SPARE_SHARE: Final = 0.1
_SPARE: Final = 10.0
"""Seconds, or that share of the lifetime where it is less: so close to its end a token may end on the way."""
_SHORTEST: Final = 1.0
"""Seconds for which any token is used."""
_BASE: Final = 1.0
_CAP: Final = 60.0
"""Seconds after the first failure, and after many: half of each is drawn."""
_LONGEST: Final = 300.0
"""Seconds: a longer Retry-After is not obeyed, or one mistaken header would shut us out for days."""


class Renewal:
    """What is known of one token in use. Times are seconds on any clock that does not jump."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._good_until = -inf
        self._due_at = inf
        self._failures = 0
        self._refusals = 0
        self._refusals_final_until = -inf
        self._is_proved = False
        self.may_fetch_at = -inf
        """When the authorization server may be asked again."""

    def __repr__(self) -> str:
        return f"<Renewal [{self._failures} failures, {self._refusals} refusals in a row]>"

    def granted(self, asked_at: float, now: float, lifetime: float | None) -> None:
        """A token was fetched by a request made at `asked_at`; None for a lifetime nobody spoke of.

        One that hardly holds is used for a second all the same, or nobody would do anything but fetch tokens: the
        server says whether it still holds.
        """
        self._failures, self._is_proved, self.may_fetch_at = 0, False, -inf
        if lifetime is None:
            # Until a server refuses it.
            self._good_until = self._due_at = inf
            return
        early = self._rng.uniform(*_EARLY)
        self._good_until = max(asked_at + lifetime - min(_SPARE, _SPARE_SHARE * lifetime), now + _SHORTEST)
        self._due_at = max(asked_at + lifetime * early, now + _SHORTEST * early)

    def failed(self, now: float, retry_after: float | None = None, *, at_server: bool = False) -> None:
        """A fetch failed; the authorization server may have said when to come back, in seconds.

        `at_server`: it was the server itself that could not be asked who gives out its tokens. Nobody's authorization
        server is spared by waiting longer then, and who reconnects to the server pauses by himself.
        """
        self._failures += not at_server
        self.may_fetch_at = now + max(self._pause(max(self._failures, 1)), min(retry_after or 0.0, _LONGEST))

    def accepted(self) -> None:
        """A server took the token."""
        self._is_proved, self._refusals = True, 0

    def refused(self, now: float) -> bool:
        """A server refused the token; whether another one is worth fetching.

        Yes, if it was taken before: then it has ended early. One that never was is refused for what it says, and the
        next will hardly say anything else: after each such token there is a pause, and the refusals in it are final.
        """
        if not self._is_proved and now < self._refusals_final_until:
            return False
        self._refusals += 1
        self._refusals_final_until = now + self._pause(self._refusals)
        self._good_until, self._due_at = -inf, inf
        return True

    def is_good(self, now: float) -> bool:
        """Whether the token may be used."""
        return now < self._good_until

    def next_fetch(self, *, is_wanted: bool) -> float:
        """When to fetch the next one; infinity where nothing calls for it. `is_wanted`: somebody waits for it."""
        return max(-inf if is_wanted else self._due_at, self.may_fetch_at)

    def _pause(self, times: int) -> float:
        return min(_BASE * 2.0 ** min(times - 1, 16), _CAP) * self._rng.uniform(0.5, 1.0)
