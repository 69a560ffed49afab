"""What is on the screen at the moment, apart from the terminal itself: the view, whether it still comes, the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["About", "Away", "Page", "Shown", "by_badness"]

Page: TypeAlias = Literal["overview", "server", "help"]


@dataclass(frozen=True, slots=True)
class Away:
    """The gateway does not answer."""

    since: float
    """Seconds since the epoch, by this machine's clock."""
    reason: str


@dataclass(frozen=True, slots=True)
class About:
    """What stands behind one server's row."""

    server: str
    details: Mapping[str, Any]
    """`ServerDetails`, as the gateway describes it."""


@dataclass(slots=True)
class Shown:
    """Changed by keys and by what the feed brings; pages are made of it."""

    url: str
    view: Mapping[str, Any] | None = None
    """The latest; None before the first."""
    away: Away | None = None
    details: Mapping[str, Any] | None = None
    """Of the server whose page is shown; None before they have come."""
    now: float = 0.0
    """Seconds since the epoch, by this machine's clock."""
    page: Page = "overview"
    server: str | None = None
    """The one that is chosen."""
    offset: int = 0
    """Lines of a server's page that have been scrolled away."""

    def servers(self) -> list[str]:
        """Names of the servers, the worst first."""
        return [] if self.view is None else [name for name, _ in by_badness(self.view["servers"])]

    def move(self, step: int) -> None:
        """Choose the server `step` further down."""
        names = self.servers()
        if names:
            at = names.index(self.server) + step if self.server in names else max(0, step - 1)
            self.server = names[min(max(at, 0), len(names) - 1)]


def by_badness(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a view, the worst first, then by name."""
    return sorted(rows.items(), key=lambda item: (-item[1]["badness"], item[0]))
