"""The authorities that vouch for servers (TLS), read once: to read them holds up the loop for 25 ms."""

from __future__ import annotations

from functools import cache
from ssl import SSLContext

import httpx2

__all__ = ["authorities"]


@cache
def authorities() -> SSLContext:
    """As httpx2 has them by default; one object for all connections."""
    return httpx2.create_ssl_context()
