"""What a process shares with others through the configured Redis: its cache's tier, and word of circuits.

Where it cannot be had, nothing fails: the process goes on alone, and `check` says why.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, Final

import anyio

from trunkline import clock
from trunkline.cache.redis_tier import RedisTier
from trunkline.circuit_sharing import CircuitSharing
from trunkline.errors import ConfigError
from trunkline.events import Emit
from trunkline.fleet import Fleet
from trunkline.policy import CacheSettings

__all__ = ["Sharing"]

_FIRST_TRY: Final = 0.5
"""Seconds a check waits for a tier that is being looked for."""
_CIRCUIT: Final = "circuit"
"""The kind of messages about circuits."""


class Sharing:
    """The tier that `settings` ask for, if they ask for one and it can be had."""

    def __init__(self, settings: CacheSettings, *, emit: Emit, rng: random.Random) -> None:
        self.is_configured = settings.redis.enabled and settings.redis.url is not None
        self.tier: RedisTier | None = None
        self._missing: ConfigError | None = None
        if self.is_configured:
            try:
                self.tier = RedisTier(settings.redis, namespace=settings.namespace, emit=emit, rng=rng)
            except ConfigError as error:
                self._missing = error

    def __repr__(self) -> str:
        return f"<Sharing {self.tier!r}>"

    async def check(self, patience: float = _FIRST_TRY) -> None:
        """Ask for a sign of life, for `HealthMonitor.watch`; raises with the reason where there is none.

        `patience` is the seconds to wait for a tier that is being looked for: that is no bad sign.
        """
        if self._missing is not None:
            raise self._missing
        if self.tier is not None:
            with anyio.move_on_after(patience):
                await self.tier.client.links.until_found()
            await self.tier.check()

    def circuits_of(self, fleet: Fleet) -> CircuitSharing:
        """Carry word of the circuits of `fleet`; an observer, of which nothing comes where there is no tier."""
        sharing = CircuitSharing(fleet, self._tell)
        tier = self.tier
        if tier is None:
            return sharing

        def hear(body: bytes) -> None:
            said = json.loads(body)
            shared = tier.client.clock
            if shared is not None:
                sharing.hear(said, max(0.0, shared.shared(clock.now()) - said["at"]))

        # What was missed about circuits is past: they find out for themselves.
        tier.backplane.subscribe(_CIRCUIT, hear, lambda: None)
        return sharing

    def _tell(self, message: Mapping[str, Any]) -> None:
        """In the background; where the tier is away, there is nobody to tell."""
        if self.tier is None or (shared := self.tier.client.clock) is None:
            return
        body = json.dumps({**message, "at": shared.shared(clock.now())}).encode()
        command = self.tier.backplane.message(_CIRCUIT, body)
        self.tier.client.put(f"{_CIRCUIT}:{message['place']}".encode(), len(body), [command])
