"""`trunkline serve`: the gateway, over HTTP or over standard input and output, until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import logging
import socket
import sys

import anyio

from trunkline.cli.config_file import USUAL, find
from trunkline.cli.exits import FAILED, FINE, CommandError
from trunkline.cli.log import log_of
from trunkline.errors import ConfigError
from trunkline.gateway.address import CannotListen, listen, url_of
from trunkline.gateway.guard import require_protection
from trunkline.gateway.serve import serve
from trunkline.gateway.stdio import serve_stdio
from trunkline.infrastructure import Infrastructure
from trunkline.version import VERSION

__all__ = ["run"]

_YOUNG = 10_000
"""Objects made before it is looked whether they are in use still; a call makes about a thousand."""


def run(options: argparse.Namespace) -> int:
    """Serve until a signal; 0. Raises `CommandError` where the address or the configuration will not do."""
    infra = _infrastructure(options.config)
    if options.stdio and (sys.stdin is None or sys.stdout is None):
        raise CommandError(["--stdio: standard input and output are both needed, and one of them is closed"])
    listener = None if options.stdio else _listener(options.host, options.port, infra)
    _spare_collections()
    try:
        log = log_of(infra)
        try:
            if listener is None:
                anyio.run(serve_stdio, infra)
            else:
                anyio.run(_over_http, infra, listener, log.is_json)
        finally:
            log()
    finally:
        if listener is not None:
            listener.close()
    return FINE


def _spare_collections() -> None:
    """Have the garbage collector not go over all that has been imported again and again, which holds everybody up."""
    gc.freeze()
    gc.set_threshold(_YOUNG)


async def _over_http(infra: Infrastructure, listener: socket.socket, as_record: bool) -> None:
    def tell() -> None:
        url = url_of(listener)
        names = ", ".join(infra.settings.servers) or "no server"
        if as_record:
            extra = {"trunkline_url": url, "trunkline_version": VERSION, "trunkline_servers": names}
            logging.getLogger("trunkline.gateway").info("gateway_started", extra=extra)
            return
        sys.stderr.write(
            f"trunkline {VERSION} listens on {url} in front of {names}\n"
            f"  MCP {url}/mcp   dashboard {url}/   metrics {url}/metrics   Ctrl-C ends it\n"
        )
        sys.stderr.flush()

    await serve(infra, listener, on_start=tell)


def _listener(host: str, port: int, infra: Infrastructure) -> socket.socket:
    try:
        require_protection(host, infra.settings.gateway)
        return listen(host, port)
    except ConfigError as error:
        raise CommandError(error.problems) from error
    except CannotListen as error:
        raise CommandError([str(error)], FAILED) from error


def _infrastructure(given: str | None) -> Infrastructure:
    path = find(given)
    try:
        # Without any file the first of the usual ones is watched for: it is picked up once it is created.
        return Infrastructure.from_config(USUAL[0] if path is None else path)
    except ConfigError as error:
        raise CommandError(error.problems) from error
