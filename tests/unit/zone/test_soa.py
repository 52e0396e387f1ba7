"""nameserver.zone.soa"""

import pytest
from support.served_zones import HEAD, nodes_from_text, wire

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.node import pack_node
from nameserver.zone.soa import Soa, parse_soa, soa_rrset

RDATA = wire("NS1.example.") + wire("hostmaster.example.") + b"".join(n.to_bytes(4, "big") for n in (5, 4, 3, 2, 1))


def test_the_fields_come_out_in_order_and_names_keep_their_case():
    assert parse_soa(RDATA) == Soa(wire("NS1.example."), wire("hostmaster.example."), 5, 4, 3, 2, 1)


@pytest.mark.parametrize("size", range(len(RDATA)))
def test_rdata_cut_short_anywhere_is_no_soa(size):
    with pytest.raises(ZoneError) as caught:
        parse_soa(RDATA[:size])
    assert caught.value.reason is Reason.NO_SOA


def test_rdata_with_octets_left_over_is_no_soa():
    with pytest.raises(ZoneError, match="21 octets after its two names, it must have 20"):
        parse_soa(RDATA + b"\0")


def test_a_compression_pointer_is_no_soa():
    with pytest.raises(ZoneError, match="compressed where it must not be"):
        parse_soa(b"\xc0\x0c" + RDATA)


def test_the_apex_gives_its_soa_as_fields_and_as_an_rrset():
    apex, nodes = nodes_from_text(HEAD, "Example.")
    rrset = soa_rrset(nodes[b""], apex)
    assert rrset.owner == wire("Example.")
    assert parse_soa(next(rrset.rdatas())).serial == 2026010101


@pytest.mark.parametrize(("rdatas", "shown"), [([], "no"), ([RDATA, RDATA + b"x"], "2")])
def test_an_apex_with_none_or_two_is_no_soa(rdatas, shown):
    node = pack_node([RRset.of(b"", codes.SOA, 60, rdatas)] if rdatas else [])
    with pytest.raises(ZoneError, match=f"holds {shown} SOA records, not one"):
        soa_rrset(node, b"")
