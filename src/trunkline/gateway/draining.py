"""How the gateway ends without dropping what it has begun: it says that it leaves, takes nothing new, and finishes.

First `/health/ready` says 503 while requests are taken as ever, until the load balancer has noticed. Then new requests
are turned away, streams of events and subscriptions end, and requests under way go on until none is left or their time
is up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio

from trunkline.gateway.admission import Admission
from trunkline.policy import DrainPolicy

__all__ = ["Drain"]

_LOOK: Final = 0.05
"""Seconds between two looks at what is under way."""


class Drain:
    """The end of one gateway, and how far it has come."""

    def __init__(self, admission: Admission, close_streams: Callable[[], None]) -> None:
        """`close_streams` ends streams that are open; it is called repeatedly, for those that were just opening."""
        self._admission = admission
        self._close_streams = close_streams
        self.is_leaving = False
        """Whether the gateway is not to be given any more requests."""

    def __repr__(self) -> str:
        return f"<Drain [{'leaving' if self.is_leaving else 'staying'}] {self._admission!r}>"

    def leave(self) -> None:
        """Be not ready from now on."""
        self.is_leaving = True

    async def break_off(self, within: float) -> None:
        """Tell who still waits after `within` seconds that the answer will not come."""
        await anyio.sleep(within)
        self._admission.break_off()

    async def run(self, policy: DrainPolicy) -> None:
        """Return when nothing is under way, or when the time of `policy` is up; to be cancelled to end at once."""
        self.leave()
        log = logging.getLogger("trunkline.gateway")
        log.info("gateway_draining", extra={"trunkline_under_way": self._admission.under_way})
        await anyio.sleep(policy.announce)
        with anyio.move_on_after(policy.timeout):
            while True:
                self._close_streams()
                # Looked at after those who were told to end have had their turn.
                await anyio.sleep(_LOOK)
                if not self._admission.under_way:
                    return
        if self._admission.under_way:
            log.warning("gateway_drain_cut", extra={"trunkline_under_way": self._admission.under_way})
