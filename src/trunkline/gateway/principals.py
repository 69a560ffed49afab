"""Who calls the gateway, and what that one may do."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from mcp.server.context import ServerRequestContext

from trunkline.policy import NamePatterns, PrincipalPolicy

__all__ = ["ANYBODY", "NOBODY", "Principal", "caller_of", "principal_of"]

_STEPS_UP: Final = re.compile(r"\.\.|%2e|\\", re.IGNORECASE)
"""What lets an address that begins like an allowed one lead elsewhere."""
_KEY: Final = "trunkline.principal"
"""Where a request's ASGI scope has its principal."""


@dataclass(frozen=True, slots=True)
class Principal:
    """One verified caller; two with the same name are one."""

    name: str | None
    """None where nobody is asked who they are: the loopback interface without authentication, or stdio."""
    policy: PrincipalPolicy
    tools: NamePatterns = field(init=False, repr=False, compare=False)
    prompts: NamePatterns = field(init=False, repr=False, compare=False)
    resources: NamePatterns = field(init=False, repr=False, compare=False)
    domains: NamePatterns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind in ("tools", "prompts", "resources", "domains"):
            object.__setattr__(self, kind, NamePatterns(getattr(self.policy, kind)))

    def may_read(self, uri: str) -> bool:
        """Whether it may read, and hear of, what is at this address."""
        return self.resources.fit_all or (self.resources.fit(uri) and not _STEPS_UP.search(uri))

    def enter(self, scope: MutableMapping[str, Any]) -> None:
        """Make a request this principal's."""
        scope[_KEY] = self


ANYBODY: Final = Principal(None, PrincipalPolicy(watch=True, manage=True))
"""Whoever calls where nobody is asked."""
NOBODY: Final = Principal(None, PrincipalPolicy(tools=(), prompts=(), resources=(), domains=()))
"""Who was asked and did not say; some routes answer even so."""


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Return whose request over HTTP it is, by its ASGI scope."""
    return cast("Principal", scope[_KEY])


def caller_of(ctx: ServerRequestContext[Any, Any]) -> Principal:
    """Return whose request of the protocol it is: anybody's, where it came over stdio."""
    return ANYBODY if ctx.request is None else principal_of(ctx.request.scope)
