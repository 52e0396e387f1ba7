"""nameserver.query.acl"""

from ipaddress import ip_address, ip_network

import pytest

from nameserver.query.acl import Acl, AclRow

KEY, OTHER = b"\x03key\x00", b"\x05other\x00"
NET, HOST, OUTSIDE = ip_network("192.0.2.0/24"), ip_address("192.0.2.9"), ip_address("198.51.100.1")


@pytest.mark.parametrize(
    ("row", "address", "key", "expected"),
    [
        (AclRow(NET, KEY), HOST, KEY, True),
        (AclRow(NET, KEY), HOST, None, False),
        (AclRow(NET, KEY), HOST, OTHER, False),
        (AclRow(NET, KEY), OUTSIDE, KEY, False),
        (AclRow(NET), HOST, None, True),
        (AclRow(NET), HOST, OTHER, True),
        (AclRow(NET), OUTSIDE, None, False),
        (AclRow(None, KEY), OUTSIDE, KEY, True),
        (AclRow(None, KEY), OUTSIDE, None, False),
        (AclRow(), OUTSIDE, None, True),
    ],
)
def test_within_a_row_every_part_must_hold(row, address, key, expected):
    assert row.allows(address, key) is expected


def test_one_row_is_enough_and_no_row_allows_nobody():
    assert Acl((AclRow(NET, KEY), AclRow(ip_network("198.51.100.0/24")))).allows(OUTSIDE, None)
    assert not Acl().allows(HOST, KEY)


def test_address_families_do_not_mix():
    assert not AclRow(ip_network("::/0")).allows(HOST, None)
    assert not AclRow(ip_network("0.0.0.0/0")).allows(ip_address("::1"), None)
