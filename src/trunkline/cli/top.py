"""`trunkline top`: what the dashboard shows, live in the terminal; or one look at it, as text or JSON."""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import sys
import time
from typing import Final

from trunkline.cli.exits import FINE, CommandError
from trunkline.cli.gateway_requests import GatewayAddress
from trunkline.cli.output import print_json
from trunkline.cli.terminal.feed import Feed, News
from trunkline.cli.terminal.inquiry import Inquiry
from trunkline.cli.terminal.lines import Look, painted
from trunkline.cli.terminal.overview import overview
from trunkline.cli.terminal.pages import page, press
from trunkline.cli.terminal.shown import About, Away, Shown

__all__ = ["run"]

_TICK: Final = 1.0
"""Seconds after which the screen is drawn again without news, for the times on it."""


def run(options: argparse.Namespace) -> int:
    """Show until somebody quits, or show once; 0.

    Raises:
        CommandError: The address is none; or, shown once, no gateway answers.
    """
    address = GatewayAddress.of(options.url)
    if options.json:
        print_json(address.ask("/api/v1/view"))
    elif options.once:
        _show_once(address)
    else:
        _show_live(address)
    return FINE


def _look() -> Look:
    """What this terminal is given; about colours see no-color.org."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return "bare"
    return "plain" if os.environ.get("NO_COLOR") else "coloured"


def _show_once(address: GatewayAddress) -> None:
    shown = Shown(address.url, view=address.ask("/api/v1/view"), now=time.time())
    width = shutil.get_terminal_size().columns
    for line in overview(shown, width, None):
        print(painted(line, width, _look()).rstrip())


def _show_live(address: GatewayAddress) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise CommandError(["top needs a terminal that can move its cursor; elsewhere use --once or --json"])
    # Not at the top: only POSIX has them, and one look needs none.
    from trunkline.cli.terminal.screen import Screen  # noqa: PLC0415

    news: queue.SimpleQueue[News | About] = queue.SimpleQueue()
    shown, look = Shown(address.url), _look()
    with Screen() as screen:

        def tell(told: News | About) -> None:
            news.put(told)
            screen.wake()

        feed, inquiry = Feed(address, tell), Inquiry(address, tell)
        feed.start()
        inquiry.start()
        try:
            is_wanted = True
            while is_wanted:
                shown.now = time.time()
                width, height = screen.size()
                screen.draw([painted(line, width, look) for line in page(shown, width, height)])
                for key in screen.keys(_TICK):
                    is_wanted = is_wanted and press(shown, key)
                _take(shown, news)
                inquiry.about(shown.server if shown.page == "server" else None)
        except KeyboardInterrupt:
            pass  # The usual way to leave what would never end by itself.
        finally:
            inquiry.stop()
            feed.stop()


def _take(shown: Shown, news: queue.SimpleQueue[News | About]) -> None:
    while not news.empty():
        match news.get():
            case Away() as away:
                shown.away = away
            case About(server, details):
                if server == shown.server:
                    shown.details = details
            case view:
                shown.view, shown.away = view, None
