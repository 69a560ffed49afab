"""The address the gateway listens on, taken before any server is connected: what cannot work fails at once."""

from __future__ import annotations

import errno
import socket

__all__ = ["CannotListen", "listen", "url_of"]

_BACKLOG = 2048


class CannotListen(Exception):
    """The address cannot be had; the message says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port`; port 0 takes any that is free.

    Raises:
        CannotListen: The port is taken, not permitted, or the address does not exist on this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: by it the event loop knows to send small pieces at once (TCP_NODELAY). Without, the body of
    # an answer waits some 40 ms for the header to be acknowledged.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Ports of connections that ended a moment ago would otherwise be refused to the next start.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotListen(_explained(error, host, port)) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket as a URL without a path."""
    host, port, *_ = listener.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _explained(error: OSError | OverflowError, host: str, port: int) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return f"port {port} on {host} is in use; stop what uses it, or choose another with --port (0 takes any)"
        case OSError(errno=errno.EACCES):
            return f"port {port} needs privileges; choose one above 1023 with --port"
        case OverflowError():
            return f"port {port} does not exist; choose one from 0 to 65535"
        case _:
            return f"cannot listen on {host} port {port}: {error}"
