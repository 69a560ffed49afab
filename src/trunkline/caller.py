"""Who calls: what a client, bound to a domain or a principal, writes on each call it makes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from trunkline import clock
from trunkline.call import CURRENT_DOMAIN, UNATTRIBUTED, Call, Method
from trunkline.exchange import Exchange
from trunkline.policy import ServerPolicy

__all__ = ["Caller"]

_MAY_ASK: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""What a server may want to know something for before it answers (MCP 2026-07-28, "Multi round-trip requests")."""
_DEFAULT_TIMEOUT = ServerPolicy().timeout


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls."""

    rng: random.Random
    """Source of their ids."""
    domain: str | None = None
    """Whom they are recorded under; None takes the enclosing tracked operation's."""
    principal: str | None = None
    """Whom they are made for."""
    exchange: Exchange | None = None
    """With whom, where it is somebody who can be asked: then for one call only."""

    def new_call(
        self,
        method: Method,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float | None = None,
        domain: str | None = None,
    ) -> Call:
        """A call that starts now and may take `timeout` seconds."""
        now, tracked = clock.now(), CURRENT_DOMAIN.get()
        domain = domain or self.domain or tracked or UNATTRIBUTED
        return Call(
            id=f"{self.rng.getrandbits(64):016x}",
            method=method,
            name=name,
            arguments=arguments,
            domain=domain,
            started=now,
            deadline=now + (_DEFAULT_TIMEOUT if timeout is None else timeout),
            principal=self.principal,
            tracked=domain == tracked,
            exchange=self.exchange if method in _MAY_ASK else None,
        )
