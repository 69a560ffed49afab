"""Which addresses a server may send us to: none further inside than it is itself. Pure.

Whoever answers a request names other addresses (where its metadata is, who gives out tokens), and those are fetched
from inside our network: a server out there must not have us ask the machines in here (server-side request forgery; MCP
2026-07-28, "Security Best Practices").
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

__all__ = ["Zone", "zone_of"]


class Zone(IntEnum):
    """How far inside an address is."""

    PUBLIC = 0
    PRIVATE = 1
    """Of a local network."""
    LOOPBACK = 2
    """Of this machine."""
    NOWHERE = 3
    """No place for a server that anybody names: link-local, where clouds keep the credentials of their machines;
    the addresses of other such services; multicast; what is reserved."""


_METADATA: Final = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Services of clouds for their machines (Alibaba, Azure, Oracle, AWS, Google) that are not link-local."""
_NAT64: Final = ip_network("64:ff9b::/96")
"""IPv4 inside IPv6 (RFC 6052)."""
_SHARED: Final = ip_network("100.64.0.0/10")
"""Between a provider and its customers (RFC 6598)."""


def zone_of(address: str) -> Zone:
    """The zone of an IP address; raises ValueError for what is none."""
    found = _unwrapped(ip_address(address.partition("%")[0]))
    if found.is_loopback:
        return Zone.LOOPBACK
    if found in _METADATA or found.is_link_local or found.is_multicast or found.is_unspecified:
        return Zone.NOWHERE
    if isinstance(found, IPv4Address) and found in _SHARED:
        return Zone.PRIVATE
    if found.is_reserved:
        return Zone.NOWHERE
    return Zone.PRIVATE if found.is_private else Zone.PUBLIC


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 address, where that is how it is reached."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
