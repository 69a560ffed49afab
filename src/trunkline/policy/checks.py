"""What a policy may hold, in the words all policies use when they refuse a value."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

__all__ = ["ALGORITHMS", "is_confidential", "is_loopback", "not_negative", "positive", "ratio", "require"]

ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"})
"""Signatures that a public key verifies (RFC 7518, 3.1; RFC 8037): whoever can check one cannot make one."""


def require(condition: bool, field_name: str, found: object, expected: str) -> None:
    """Raise a `ValueError` in the words all policies use."""
    if not condition:
        raise ValueError(f"{field_name} = {found!r}: expected {expected}")


def positive(policy: object, *names: str) -> None:
    """Refuse a named field that is neither None nor greater than 0."""
    for name in names:
        value = getattr(policy, name)
        require(value is None or value > 0, name, value, "a number greater than 0")


def not_negative(policy: object, *names: str) -> None:
    """Refuse a named field that is neither None nor 0 or more."""
    for name in names:
        value = getattr(policy, name)
        require(value is None or value >= 0, name, value, "0 or more")


def ratio(policy: object, *names: str) -> None:
    """Refuse a named field that is neither None nor in (0, 1]."""
    for name in names:
        value = getattr(policy, name)
        require(value is None or 0 < value <= 1, name, value, "a ratio greater than 0, at most 1")


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine itself: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_confidential(address: str) -> bool:
    """Whether nobody on the way can read what is sent there: https, or http to this machine itself."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        )
    except ValueError:
        return False
