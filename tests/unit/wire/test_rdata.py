"""The table of rdata layouts: what is well-formed, what is decompressed, what is the same record."""

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from support.rdata_lines import GOOD, IN, wire_of

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.rdata import (
    COMPRESSIBLE,
    DECOMPRESSED,
    LAYOUTS,
    VERBATIM,
    fold_rdata,
    read_known_name,
    read_rdata,
    type_text,
)


@pytest.mark.parametrize("line", GOOD)
def test_well_formed_rdata_is_read_byte_for_byte(line):
    rdtype, rdata = wire_of(line)
    assert read_rdata(b"head" + rdata + b"tail", 4, len(rdata), rdtype) == rdata


@pytest.mark.parametrize("line", GOOD)
def test_cut_short_rdata_is_never_read_past_its_end(line):
    """What is accepted of a cut rdata is that rdata, and nothing of what follows it."""
    rdtype, rdata = wire_of(line)
    for size in range(len(rdata)):
        try:
            read = read_rdata(rdata, 0, size, rdtype)  # the rest of the rdata lies behind, as other records would
        except WireError:
            continue
        assert read == rdata[:size]


@pytest.mark.parametrize("rdtype", sorted({wire_of(line)[0] for line in GOOD} | {10, 65280}))
def test_empty_rdata_is_accepted_where_dnspython_accepts_it(rdtype):
    try:
        dns.rdata.from_wire(IN, rdtype, b"", 0, 0)
        accepted = True
    except dns.exception.DNSException:
        accepted = False
    try:
        read_rdata(b"", 0, 0, rdtype)
        ours = True
    except WireError:
        ours = False
    assert ours is accepted


def test_no_type_has_two_rows():
    assert not VERBATIM.keys() & DECOMPRESSED.keys()
    assert COMPRESSIBLE.keys() <= DECOMPRESSED.keys()
    assert {rdtype for rdtype, layout in LAYOUTS.items() if not layout.compressed} <= VERBATIM.keys()


NAME = b"\3www\7example\0"


@pytest.mark.parametrize(
    ("rdtype", "prefix", "suffix"),
    [(rdtype, bytes(row.prefix), bytes(row.least)) for rdtype, row in DECOMPRESSED.items()],
)
def test_compressed_names_are_expanded(rdtype, prefix, suffix):
    names = DECOMPRESSED[rdtype].names
    message = bytes(12) + NAME + prefix + b"\xc0\x0c" * names + suffix
    rdata = read_rdata(message, 12 + len(NAME), len(message) - 12 - len(NAME), rdtype)
    assert rdata == prefix + NAME * names + suffix


BAD = [
    ("A", "010203"), ("A", "0102030405"), ("AAAA", "00" * 15),
    ("NS", ""), ("NS", "0361"), ("NS", "000000"), ("NS", "40"), ("NS", "80"), ("NS", "c0"), ("NS", "c000"),
    ("NS", "c00d"), ("NS", "3f" + "61" * 10),
    ("MX", "00"), ("MX", "0000"), ("MX", "00000361"),
    ("SOA", "0000"), ("SOA", "0000" + "00" * 19), ("SOA", "0000" + "00" * 21),
    ("TXT", ""), ("TXT", "0261"), ("HINFO", "0161"), ("HINFO", "016101610161"), ("X25", ""), ("GPOS", "01610161"),
    ("ISDN", "016101610161"), ("LOC", "00" * 15),
    ("RRSIG", "00" * 18), ("RRSIG", "00" * 17), ("RRSIG", "00" * 18 + "c00c"), ("RRSIG", "00" * 18 + "0361"),
    ("NSEC", ""), ("NSEC", "0361"), ("NSEC", "000000"), ("NSEC", "0000"), ("NSEC", "000021" + "01" * 33),
    ("NSEC", "000001010000"), ("NSEC", "000001010000010100"), ("NSEC", "000101010001"),
    ("NSEC3", "01000000"), ("NSEC3", "0100000005"), ("NSEC3", "010000000005"), ("NSEC3PARAM", "01000000"),
    ("NSEC3PARAM", "010000000000"), ("CSYNC", "0000000000"), ("CSYNC", "0000000000000101"),
    ("CAA", "00"), ("CAA", "0000"), ("CAA", "00012d"), ("CAA", "000561"),
    ("APL", "000118"), ("APL", "00011804c0a820"), ("SSHFP", "01"), ("DS", "00000802"), ("DNSKEY", "010003"),
    ("IPSECKEY", "0a00"), ("IPSECKEY", "0a0102c00002"), ("IPSECKEY", "0a0402"), ("IPSECKEY", "0a0302c00c"),
    ("AMTRELAY", "0a"), ("AMTRELAY", "0a0000"), ("AMTRELAY", "0a7f"), ("AMTRELAY", "0a01cb0071"),
    ("HIP", "100200"), ("HIP", "10020000"), ("HIP", "0002000061"),
    ("SVCB", "00"), ("SVCB", "0000"), ("SVCB", "000100000300"), ("SVCB", "00010000030002"),
    ("SVCB", "000100" + "00030000" + "00030000"), ("SVCB", "000100" + "00040000" + "00030000"),
    ("NAPTR", "00000000"), ("NAPTR", "00000000000000"), ("NAPTR", "0000000005"),
    ("LP", "0000"), ("LP", "0000" + ("3f" + "61" * 63) * 4 + "00"),
    ("LP", "00000000"), ("TYPE58", "00"), ("URI", "00000000"), ("L32", "0000000000"),
    ("ZONEMD", "00" * 17), ("WKS", "00" * 4), ("NXT", "00" + "01" * 17), ("TYPE41", ""), ("TSIG", ""), ("ANY", ""),
]  # fmt: skip


@pytest.mark.parametrize(("rdtype", "text"), BAD)
def test_malformed_rdata_is_refused(rdtype, text):
    rdata = bytes.fromhex(text)
    with pytest.raises(WireError):
        read_rdata(bytes(12) + rdata, 12, len(rdata), dns.rdatatype.from_text(rdtype))


def test_rdata_past_the_end_of_the_message_is_refused():
    with pytest.raises(WireError, match="end of the message"):
        read_rdata(bytes(10), 8, 4, codes.A)


def test_rdata_that_outgrows_its_length_field_is_refused():
    long_name = (b"\x3f" + b"a" * 63) * 3 + b"\0"
    message = bytes(12) + long_name + bytes(18) + b"\xc0\x0c" + bytes(65_500)
    with pytest.raises(WireError, match="65535"):
        read_rdata(message, 12 + len(long_name), 18 + 2 + 65_500, 24)


# --- names with a memory --------------------------------------------------------------------------------------------


def test_a_name_is_remembered_at_every_place_it_is_read_from():
    message = bytes(12) + b"\7example\0" + b"\3www\xc0\x0c" + b"\1a\1b\xc0\x15" + b"\xc0\x1b"
    known: dict[int, bytes] = {}
    assert read_known_name(message, 12, known) == (b"\7example\0", 21)
    assert read_known_name(message, 21, known) == (b"\3www\7example\0", 27)
    assert read_known_name(message, 27, known) == (b"\1a\1b\3www\7example\0", 33)
    assert read_known_name(message, 33, known) == (b"\1a\1b\3www\7example\0", 35)
    assert known[12] == b"\7example\0" and known[21] == b"\3www\7example\0"


def test_the_memory_changes_nothing_but_speed():
    message = bytes(12) + b"\7example\0" + b"\3www\xc0\x0c" + b"\1a\1b\xc0\x15" + b"\xc0\x1b"
    for offset in (12, 21, 27, 33):
        fresh = read_known_name(message, offset, {})
        known: dict[int, bytes] = {}
        read_known_name(message, 33, known)
        assert read_known_name(message, offset, known) == fresh


@pytest.mark.parametrize(
    "tail",
    [b"\xc0\x0c", b"\xc0\x0e", b"\xc0\x00", b"\x40", b"\x80", b"\1a\xc0\x0c", b"\1a\xff\xff"],
    ids=["itself", "forwards", "the header", "reserved 01", "reserved 10", "its own label", "far away"],
)
def test_bad_pointers_and_labels_are_refused(tail):
    with pytest.raises(WireError):
        read_known_name(bytes(12) + tail + bytes(4), 12, {})


def test_a_name_of_255_bytes_is_the_longest():
    labels = (b"\x3f" + b"a" * 63) * 3
    longest = bytes(12) + labels + b"\x3d" + b"b" * 61 + b"\0"
    assert len(read_known_name(longest, 12, {})[0]) == 255
    for tail in (b"\x3e" + b"b" * 62 + b"\0", b"\x3f" + b"b" * 63 + b"\0"):
        with pytest.raises(WireError, match="longer than 255"):
            read_known_name(bytes(12) + labels + tail, 12, {})


def test_a_name_made_too_long_by_a_pointer_is_refused():
    labels = (b"\x3f" + b"a" * 63) * 3
    message = bytes(12) + labels + b"\x3d" + b"b" * 61 + b"\0" + b"\1c\xc0\x0c" + b"\1d\1e\xc0\x0c"
    known: dict[int, bytes] = {}
    read_known_name(message, 12, known)
    for offset in (12 + 255, 12 + 259):
        with pytest.raises(WireError, match="longer than 255"):
            read_known_name(message, offset, known)


def test_long_chains_of_pointers_are_refused_unless_known():
    message = bytes(12) + b"\0\xc0\x0c" + b"".join((0xC000 | 13 + 2 * n).to_bytes(2, "big") for n in range(200))
    with pytest.raises(WireError, match="pointer"):
        read_known_name(message, len(message) - 2, {})


# --- the same record ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", GOOD)
def test_letter_case_of_names_is_folded_in_the_types_of_rfc_4034(line):
    """§6.2 with RFC 6840 §5.1: names in the listed types, nothing else."""
    rdtype, rdata = wire_of(line)
    folded = fold_rdata(rdtype, rdata)
    assert len(folded) == len(rdata)
    canonical = dns.rdata.from_wire(IN, rdtype, rdata, 0, len(rdata)).to_digestable(dns.name.root)
    if rdtype not in (codes.HINFO, codes.NSEC):
        assert fold_rdata(rdtype, canonical) == folded


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("MX 10 Mail.example.", "MX 10 mail.EXAMPLE."),
        ("SOA A. B. 1 2 3 4 5", "SOA a. b. 1 2 3 4 5"),
        ('NAPTR 1 1 "S" "" "" X.example.', 'NAPTR 1 1 "S" "" "" x.example.'),
        ("RRSIG A 8 2 3600 20300101000000 20200101000000 1 S. Qg==",
         "RRSIG A 8 2 3600 20300101000000 20200101000000 1 s. Qg=="),
    ],
)  # fmt: skip
def test_the_same_record_folds_to_the_same_bytes(line, same):
    assert fold_rdata(*wire_of(line)) == fold_rdata(*wire_of(same))


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ('NAPTR 1 1 "S" "" "" x.', 'NAPTR 1 1 "s" "" "" x.'), ('TXT "A"', 'TXT "a"'),
        ("SVCB 1 A.", "SVCB 1 a."), ("SOA a. b. 65 2 3 4 5", "SOA a. b. 97 2 3 4 5"),
    ],
)  # fmt: skip
def test_other_records_do_not(line, other):
    assert fold_rdata(*wire_of(line)) != fold_rdata(*wire_of(other))


def test_types_have_names():
    assert (type_text(1), type_text(65280)) == ("A", "TYPE65280")
