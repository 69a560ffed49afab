"""No access token could be had: the one error of this package, told in words that are fit to show."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx2

__all__ = ["AuthorizationFailed", "Step", "place", "quoted"]

Step = Literal["discovery", "token", "auth"]

_ODD: Final = re.compile(r"[^ -~]+")
_LONGEST: Final = 120


class AuthorizationFailed(httpx2.TransportError):
    """A request could not be authorised, so it was not sent, or was refused by the server without being run.

    A kind of TransportError, so that it stays with its request as any network fault does.
    """

    def __init__(
        self,
        step: Step,
        problem: str,
        *,
        may_pass: bool = False,
        at_server: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Say at which `step` what went wrong; the words must hold no secret."""
        super().__init__(f"no access token ({step}): {problem}" if step != "auth" else f"not authorised: {problem}")
        self.step: Step = step
        self.problem = problem
        self.may_pass = may_pass
        """Whether it may be another thing in a moment, with nobody changing anything."""
        self.at_server = at_server
        """Whether the server itself did not answer the question who gives out its tokens."""
        self.retry_after = retry_after
        """Seconds after which another try is worth it; None when unknown."""

    def after(self, retry_after: float) -> AuthorizationFailed:
        """The same for one more who asks: each raises an object of its own."""
        return AuthorizationFailed(
            self.step, self.problem, may_pass=self.may_pass, at_server=self.at_server, retry_after=retry_after
        )


def place(url: str) -> str:
    """An address as it may be shown: scheme, host, port and path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return _ODD.sub("?", f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_LONGEST])


def quoted(text: object) -> str:
    """A stranger's word: printable, short, in quotes."""
    return repr(_ODD.sub("?", str(text)[:_LONGEST]))
