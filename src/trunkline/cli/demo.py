"""`trunkline demo`: a tour with real servers that are killed, and a count of what they really did."""

from __future__ import annotations

import argparse
import logging
import socket
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio

from trunkline.cli.exits import FAILED, FINE, INTERRUPTED, CommandError
from trunkline.cli.tour.cast import cast
from trunkline.cli.tour.ledger import verdict
from trunkline.cli.tour.summary import summary
from trunkline.cli.tour.telling import Teller, spoken
from trunkline.cli.tour.tour import Tour
from trunkline.gateway.address import CannotListen, listen, url_of
from trunkline.gateway.serve import serve
from trunkline.infrastructure import Infrastructure
from trunkline.version import VERSION

__all__ = ["run"]

_HOST: Final = "127.0.0.1"
_BUSY: Final = "the servers of the tour did not start in time; is the machine very busy? Try again"


def run(options: argparse.Namespace) -> int:
    """Give the tour; 0, or 1 where a promise about writes was broken, or 130 where it was interrupted.

    Raises:
        CommandError: The port or the folder that was asked for cannot be had, or a server does not start.
    """
    # What goes wrong here goes wrong on purpose, and is told in words of ours.
    logging.getLogger().addHandler(logging.NullHandler())
    teller = Teller()
    with _listener(options.port) as listener, _folder(options.journals) as folder:
        return anyio.run(_give, listener, Path(folder), options.seconds, teller)


async def _give(listener: socket.socket, folder: Path, seconds: float, teller: Teller) -> int:
    teller.title(f"Trunkline {VERSION}: a tour of {spoken(seconds)}. Ctrl-C ends it at any time.")
    teller.say("Starting real servers on this machine, nothing beyond this package and nothing beyond this machine ...")
    try:
        async with cast(folder) as started:
            infra = Infrastructure.from_config(started.configuration())
            tour = Tour(infra, started, seconds, teller)
            url, listening = url_of(listener), anyio.Event()

            async def guide() -> None:
                await listening.wait()
                await tour.run()

            def tell() -> None:
                listening.set()
                teller.lines(
                    [
                        f"  search  over HTTP, two replicas (pid {started.search[0].pid} and {started.search[1].pid})",
                        f"  orders  over HTTP (pid {started.orders.pid})",
                        "  notes   over stdio, a child process",
                        "",
                        f"The gateway stands in front of them. Its dashboard:  {url}/",
                        f"In another terminal:  trunkline top {url}",
                    ]
                )

            await serve(infra, listener, on_start=tell, beside=guide)
    except (TimeoutError, anyio.EndOfStream) as error:
        raise CommandError([_BUSY], FAILED) from error
    if tour.ending == "unconnected":
        raise CommandError([_BUSY], FAILED)
    found = verdict(tour.ledger, started.journals())
    is_complete = tour.ending == "complete"
    teller.title("What was measured" if is_complete else "Interrupted. What was measured until then")
    teller.lines(summary(tour.ledger, tour.moments, found, tour.alerts))
    teller.say("Everything that was started has ended.")
    if not is_complete:
        return INTERRUPTED
    teller.say("Your own servers next:  trunkline serve mcp.json")
    return FINE if found.is_kept else FAILED


def _listener(port: int | None) -> socket.socket:
    """Listen on `port`; where none was asked for, on the usual one or, while that is taken, on any."""
    try:
        return listen(_HOST, 8700 if port is None else port)
    except CannotListen as error:
        if port is not None:
            raise CommandError([str(error)], FAILED) from error
    return listen(_HOST, 0)


def _folder(given: str | None) -> AbstractContextManager[str]:
    """The folder that was asked for, which stays, or one that goes."""
    if given is None:
        return TemporaryDirectory(prefix="trunkline-demo-")
    try:
        Path(given).mkdir(parents=True)
    except FileExistsError as error:
        raise CommandError([f"{given} exists already; give a folder that can be created"]) from error
    except OSError as error:
        raise CommandError([f"{given} cannot be created: {error.strerror}"]) from error
    return nullcontext(given)
