"""How far inside an address is, however it is written."""

from __future__ import annotations

import pytest

from trunkline.transport.authorization.zones import Zone, zone_of


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ("93.184.216.34", Zone.PUBLIC),
        ("2606:2800:220:1::1", Zone.PUBLIC),
        ("10.1.2.3", Zone.PRIVATE),
        ("172.16.0.1", Zone.PRIVATE),
        ("192.168.1.1", Zone.PRIVATE),
        ("100.64.0.1", Zone.PRIVATE),
        ("fd12::1", Zone.PRIVATE),
        ("127.0.0.1", Zone.LOOPBACK),
        ("127.8.8.8", Zone.LOOPBACK),
        ("::1", Zone.LOOPBACK),
        ("169.254.169.254", Zone.NOWHERE),
        ("169.254.1.1", Zone.NOWHERE),
        ("fe80::1%eth0", Zone.NOWHERE),
        ("fd00:ec2::254", Zone.NOWHERE),
        ("100.100.100.200", Zone.NOWHERE),
        ("168.63.129.16", Zone.NOWHERE),
        ("0.0.0.0", Zone.NOWHERE),
        ("::", Zone.NOWHERE),
        ("224.0.0.1", Zone.NOWHERE),
        ("240.0.0.1", Zone.NOWHERE),
        ("255.255.255.255", Zone.NOWHERE),
        ("::ffff:169.254.169.254", Zone.NOWHERE),
        ("::ffff:127.0.0.1", Zone.LOOPBACK),
        ("::ffff:10.0.0.1", Zone.PRIVATE),
        ("64:ff9b::a9fe:a9fe", Zone.NOWHERE),
        ("64:ff9b::7f00:1", Zone.LOOPBACK),
        ("2002:a9fe:a9fe::1", Zone.NOWHERE),
        ("2002:0a00:0001::1", Zone.PRIVATE),
    ],
)
def test_an_address_is_as_far_inside_as_where_it_leads(address: str, zone: Zone) -> None:
    assert zone_of(address) is zone


def test_what_is_no_address_has_no_zone() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        zone_of("metadata.google.internal")
