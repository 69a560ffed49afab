"""redis-py's errors as ours, in one table: what ends a link, and what is only the answer to one command."""

from __future__ import annotations

import ssl
from typing import Final

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from trunkline.cache.link import FaultKind, LinkFault, Refused

__all__ = ["fault_of", "refusal_of"]

_KINDS: Final[tuple[tuple[type[Exception], FaultKind], ...]] = (
    (exceptions.MovedError, "is_cluster"),
    (exceptions.ClusterCrossSlotError, "is_cluster"),
    (exceptions.AuthenticationError, "denied"),
    (exceptions.AuthorizationError, "denied"),
    (exceptions.NoPermissionError, "denied"),
    (exceptions.BusyLoadingError, "not_ready"),
    (exceptions.ReadOnlyError, "not_ready"),
    (exceptions.ClusterDownError, "not_ready"),
    (exceptions.MasterDownError, "not_ready"),
    (exceptions.TryAgainError, "not_ready"),
    (MasterNotFoundError, "no_master"),
    (exceptions.TimeoutError, "timed_out"),
    (exceptions.InvalidResponse, "no_answer"),
    (exceptions.ConnectionError, "lost"),
    (OSError, "lost"),
)
_REFUSALS: Final[tuple[tuple[type[Exception], Refused], ...]] = (
    (exceptions.OutOfMemoryError, Refused("full")),
    (exceptions.NoPermissionError, Refused("denied")),
)


def refusal_of(error: Exception) -> Refused:
    """What an error in answer to one command means; raises where it means that the link is of no use."""
    for kind, refused in _REFUSALS:
        if isinstance(error, kind):
            return refused
    if any(isinstance(error, kind) for kind, _ in _KINDS) or not isinstance(error, exceptions.ResponseError):
        raise fault_of(error)
    return Refused("failed")


def fault_of(error: BaseException, *, connecting: bool = False) -> LinkFault:
    """What any error of theirs means for the link; while `connecting`, a lost connection was never had."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return LinkFault("untrusted")
        seen = seen.__cause__ or seen.__context__
    for kind, name in _KINDS:
        if isinstance(error, kind):
            return LinkFault("unreachable" if name == "lost" and connecting else name)
    return LinkFault("unreachable" if connecting else "no_answer")
