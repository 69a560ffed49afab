"""What is shown now: the page that was chosen, its footer with the keys, or the help."""

from __future__ import annotations

from typing import Final

from trunkline.cli.terminal.lines import Line, Piece
from trunkline.cli.terminal.overview import heading, overview
from trunkline.cli.terminal.server_page import server_page
from trunkline.cli.terminal.shown import Shown

__all__ = ["page", "press"]

_FOOTERS: Final = {
    "overview": "q quit   ↑↓ choose   Enter its tools and calls   ? help",
    "server": "q quit   ↑↓ scroll   Esc back   ? help",
    "help": "Esc back   q quit",
}
_HELP: Final = """\
q, Ctrl-C       quit
↑ ↓, k j        choose a server; on its page: scroll
PgUp PgDn       ten at a time
Enter           the server's tools, and its latest slow and failed calls
Esc             back
?, h            this page

The first line says how things are, since when and why. Everything is of the
last minute. Bars are of ten seconds each, newest at the right, and the highest
is the highest of that row. Servers and domains that need a look come first.

ERRORS          calls that failed, of those that ended
CIRCUIT open    the server keeps failing: calls are refused at once
WAITING         calls that wait for a connection
"""


def page(shown: Shown, width: int, height: int) -> list[Line]:
    """Return exactly `height` lines of at most `width` columns."""
    room = height - 1
    match shown.page:
        case "overview":
            lines = overview(shown, width, room)
        case "server":
            lines = _scrolled(shown, width, room)
        case "help":
            lines = [[Piece(line)] for line in _HELP.splitlines()][:room]
    lines += [[]] * (room - len(lines))
    return [*lines, [Piece(_FOOTERS[shown.page], "dim")]]


def _scrolled(shown: Shown, width: int, room: int) -> list[Line]:
    """The part of the server's page that is not scrolled away; what says that the gateway is away stays."""
    above = [] if shown.away is None else [*heading(shown, width)[:2], []]
    lines, left = server_page(shown, width), max(1, room - len(above))
    shown.offset = min(shown.offset, max(0, len(lines) - left))
    return [*above, *lines[shown.offset : shown.offset + left]][:room]


def press(shown: Shown, key: str) -> bool:
    """Do what a key says; false when it says to quit."""
    steps = {"up": -1, "down": 1, "page_up": -10, "page_down": 10}
    match key:
        case "quit":
            return False
        case "escape":
            shown.page = "overview"
        case "help":
            shown.page = "overview" if shown.page == "help" else "help"
        case "enter" if shown.page == "overview" and shown.servers():
            if shown.server not in shown.servers():
                shown.move(0)
            shown.page, shown.details, shown.offset = "server", None, 0
        case _ if key in steps and shown.page == "overview":
            shown.move(steps[key])
        case _ if key in steps and shown.page == "server":
            shown.offset = max(0, shown.offset + steps[key])
    return True
