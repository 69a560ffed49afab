"""Network errors in words, the same for servers and for whoever gives out tokens."""

from __future__ import annotations

import os

from trunkline.transport.authorization.failure import AuthorizationFailed

__all__ = ["describe"]


def describe(error: BaseException) -> str:
    """A network error in words, without the address (it may carry credentials)."""
    if isinstance(error, AuthorizationFailed):
        return str(error)  # our own words
    text = _of_the_system(error) or str(error)
    return f"{type(error).__name__}: {text}" if text and "://" not in text else type(error).__name__


def _of_the_system(error: BaseException | None) -> str:
    """What the operating system said, below the libraries that say only that nothing went well; or nothing."""
    found = ""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            found = os.strerror(error.errno)
        # Of several addresses, the first is as good as any.
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    return found
