"""nameserver.wire.rrset"""

from nameserver.wire import codes
from nameserver.wire.rrset import RRset, split_tails

RDATAS = [b"", b"\x01a", b"x" * 300]


def test_tails_split_where_they_were_joined():
    tails = [RRset.of(b"\x01o\x00", codes.TXT, 60, [rdata]).tails for rdata in RDATAS]
    assert split_tails(b"".join(tails)) == split_tails(bytearray(b"".join(tails))) == tails
    assert split_tails(b"") == []


def test_an_rrset_gives_its_records_back():
    rrset = RRset.of(b"\x01o\x00", codes.TXT, 60, RDATAS, codes.CH)
    assert list(rrset.rdatas()) == RDATAS
    heads = {record[:4] for record in rrset.records()}
    assert heads == {(b"\x01o\x00", codes.TXT, codes.CH, 60)}
    assert rrset.with_ttl(5).ttl == 5
    assert list(rrset.with_ttl(5).rdatas()) == RDATAS
