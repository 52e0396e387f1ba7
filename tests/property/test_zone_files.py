"""The quick reader of zone files reads what dnspython reads, and finds wrong what dnspython finds wrong."""

from hypothesis import example, given
from hypothesis import strategies as st
from support.rdata_lines import GOOD, wire_of

from nameserver.errors import ZoneFileError
from nameserver.wire import codes, names
from nameserver.zone import zonefile
from nameserver.zone.changes import differs
from nameserver.zone.rdata_to_text import name_text, odd_rdata_text, rdata_text
from nameserver.zone.zone_text import node_lines, write_zone_file
from nameserver.zone.zonefile import read_zone_file

APEX = b"\7Example\3com\0"
HEAD = "@ 300 IN SOA ns1 host ( 7 ; serial (\n 1h 600 86400 5m )\n@ 1h NS ns1\n"

OWNERS = r"""
www
WwW
a.b
@
*
*.w
x.example.com.
Example.COM.
example.com
_sip._tcp
out.org.
.
..
a..b
.a
a\.b
a\046b
\042q
q"q
ü
@.a
a.@
$x
-
1
300
IN
A
a,b=c/d'e!#%&{|}~^`<>?[]*+:
""".strip().splitlines()
OWNERS += ["", "", "x" * 63, "x" * 64, ".".join(["x" * 60] * 4)]
HEADS = ["300 IN", "IN 300", "in 1h30m", "300 300", "IN IN", "300 IN 300", ""]
HEADS += ["300", "IN", "1W", "0", "4294967295", "4294967296", "2147483648", "00300"]
HEADS += ["CH", "1x", "1h3", "-1", "CLASS1", "In"]
ODD_RDATA = """
A 192.0.2.256
A 192.0.2.01
A 192.0.2
A 192.0.2.1 x
A \\# 4 c0000201
A "192.0.2.1"
AAAA ::
AAAA ::1
AAAA ::192.0.2.1
AAAA ::ffff:192.0.2.1
AAAA 1:2:3:4:5:6:7::
AAAA ::2:3:4:5:6:7:8
AAAA 1::3:4:5:6:7:8
AAAA 1:2:3:4:5:6:7:8
AAAA 1:2:3:4:5:6:7:8:9
AAAA 1:::2
AAAA 12345::
AAAA 1::2::3
AAAA :1:2:3:4:5:6:7
AAAA 2001:DB8:0:0:1:0:0:1
AAAA g::
NS @
NS a\\.b
NS
CNAME .
MX 010 a
MX 65536 a
MX a
SRV 1 2 3 @
SRV 1 2 3
TXT a b "c d" "" e\\"f
TXT "a;b" (c) ; d
TXT "a\\"b\\\\" "\\065\\255" \\066
TXT "\\256"
TXT "\\6"
TXT \\# 3 026869
TXT "\\#" 3
TXT "open
TXT "ü" "tab	tab"
TXT a"b"c
TXT
CAA 0 issue "ca.example; a=b"
CAA 256 issue a
CAA 0 "issue" a
CAA 0 is-sue a
CAA 0 issue ca.example
DS 1 8 1 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4
DS 1 RSASHA256 1 D4B7D520E7BB5F0F 67674A0CCEB1E3E0614B93C4
DS 1 8 1 D4
DS 1 8 9 D4
DS 1 8 1 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93Cx
TLSA 3 1 0 A9C D
TLSA 3 1 3 A9
SSHFP 1 3 A9
DNSKEY 257 3 8 AQNRU3 mG
DNSKEY 257 3 RSASHA256 AQNRU3mG
DNSKEY 257 3 8 AQNRU3m
DNSKEY 257 3 8 AQ==AQ==
DNSKEY 257 3 8
RRSIG A 8 2 3600 20300101000000 1577836800 12345 @ AQNR U3mG
RRSIG A 8 2 1h 20300101000000 20200101000000 12345 @ AQNRU3mG
RRSIG a 8 2 60 20300101000000 20200101000000 12345 @ AQNRU3mG
RRSIG TYPE1 8 2 60 20301301000000 20200101000000 12345 @ AQNRU3mG
RRSIG A 8 2 60 20300101000060 20200101000000 12345 @ AQNRU3mG
RRSIG A 8 2 60 19500101000000 20200101000000 12345 @ AQNRU3mG
RRSIG A 8 2 60 22000101000000 20200101000000 12345 @ AQNRU3mG
RRSIG A 8 2 60 20300101000000 20200101000000 12345 @
NSEC @ A NS TYPE65280 A
NSEC b a ns
NSEC b FOO
NSEC b TYPE0
NSEC b NONE
NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr
NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojw A
NSEC3 1 0 0 - 2t7b4g4v A
NSEC3 1 0 0 - 2t7b4g4v_a5smi47k61mv5bv1a22bojr A
NSEC3 1 0 0 abc 2t7b4g4vsa5smi47k61mv5bv1a22bojr A
NSEC3PARAM 1 0 0 - -
NSEC3PARAM 1 0 65536 -
a 192.0.2.7
aaaa 2001:db8::7
TYPE1 192.0.2.8
TYPE1 \\# 4 c0000208
TYPE128 \\# 0
SOA a b 1 2 3 4 5
FOO bar
""".strip("\n").splitlines()
DIRECTIVES = r"""
$TTL 1h
$TTL 60
$ttl 5 ; x
$TTL
$TTL x
$TTL 1 2
$ORIGIN sub
$ORIGIN example.com.
$ORIGIN @
$origin .
$ORIGIN
$ORIGIN a..b
$ORIGIN \097
$GENERATE 1-3 g$ A 192.0.2.$
$FOO
$INCLUDE x
""".strip().splitlines()
ODD_LINES = ["", "   ", "; all comment", ' ; comment ( "', "( )", "(", ")", "( www 300 A 192.0.2.1 )"]
ODD_LINES += ["www ( 300\n A\n 192.0.2.1 )", "www 300 A ( 192.0.2.1 ; one\n) ; two", 'www 300 TXT ( "a" ; b (\n c )']
ODD_LINES += [" 300 A) 192.0.2.1 (", "\tA 192.0.2.1\r", "www\x0bA 192.0.2.1", "www A 192.0.2.1 \x00"]
ODD_LINES += ["www A 192.0.2.1\\", "www A 192.0.2.1;x", "www A (192.0.2.1)", "www(300)A 192.0.2.1"]

records = st.builds(
    lambda owner, head, rdata, behind: f"{owner} {head} {rdata}{behind}",
    st.sampled_from(OWNERS),
    st.sampled_from(HEADS),
    st.sampled_from(GOOD + ODD_RDATA),
    st.sampled_from(["", " ", "\t; comment", ";c", " ()", '; "'] + [""] * 5),
)
lines = st.one_of(records, records, records, st.sampled_from(DIRECTIVES), st.sampled_from(ODD_LINES))
plain = st.builds(
    lambda owner, head, rdata: f"{owner} {head} {rdata}",
    st.sampled_from(OWNERS[:11]),
    st.sampled_from(HEADS[:3] + HEADS[6:11]),
    st.sampled_from([line for line in GOOD if not line.startswith(("SOA", "CNAME", "DNAME"))]),
)


def read(text: str, *, slowly: bool) -> object:
    """What came of a file: its zone, or what is wrong with it."""
    kept = zonefile._Reader._take, zonefile._Reader._take_special  # type: ignore[attr-defined]
    if slowly:
        zonefile._Reader._take = lambda *_, **__: False  # type: ignore[attr-defined]
        zonefile._Reader._take_special = lambda *_: False  # type: ignore[attr-defined]
    try:
        built = read_zone_file(text, APEX, "z")
        return built.nodes, built.apex_as_received, built.soa, built.tally, built.size, built.records
    except ZoneFileError as error:
        return error.problems
    finally:
        zonefile._Reader._take, zonefile._Reader._take_special = kept  # type: ignore[attr-defined]


@given(st.lists(lines, max_size=4), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(["\t1h TXT a", "\tTXT b"], "\n", True)
@example(["$ORIGIN \\097", "x 5 A 192.0.2.1"], "\n", True)
@example(["$ORIGIN a", "x.b 5 A 192.0.2.1", "$ORIGIN c", "x.b 5 A 192.0.2.1"], "\n", True)
def test_any_file_is_read_as_dnspython_reads_it(extra, end, complete):
    text = (HEAD if complete else "") + "\n".join([*extra, ""])
    text = text.replace("\n", end)
    assert read(text, slowly=False) == read(text, slowly=True)


@given(st.lists(plain, max_size=12))
def test_any_zone_of_plain_records_is_read_as_dnspython_reads_it_and_reads_back_as_written(extra):
    text = HEAD + "".join(f"{line}\n" for line in extra)
    assert read(text, slowly=False) == read(text, slowly=True)
    built = read_zone_file(text, APEX, "z")
    again = read_zone_file(write_zone_file(built.nodes, built.apex_as_received), APEX, "z")
    assert again.records == built.records
    assert not differs(again.nodes.get, built.nodes, built.apex_as_received)


@given(st.lists(lines, max_size=3).map("\n".join), st.data())
def test_a_file_with_any_character_put_in_or_taken_out_is_read_as_dnspython_reads_it(extra, data):
    text = HEAD + extra + "\n"
    at = data.draw(st.integers(len(HEAD), len(text)))
    put = data.draw(
        st.sampled_from(['"', "(", ")", ";", "\\", " ", "\n", "\r", "$", "@", ".", "\x00", "ü", "\udcff", "0", ""])
    )
    text = text[:at] + put + text[at + (not put) :]
    assert read(text, slowly=False) == read(text, slowly=True)


KNOWN = [wire_of(line) for line in GOOD]
TYPES = st.sampled_from(sorted({rdtype for rdtype, _ in KNOWN}))


@given(st.one_of(st.sampled_from(KNOWN), st.tuples(TYPES, st.binary(max_size=60))), st.data())
@example((codes.NSEC, b"\0\0\2\x40\0"), None)
@example((codes.AAAA, bytes(10) + b"\xff\xff\1\2\3\4"), None)
def test_rdata_is_written_as_dnspython_writes_it(known, data):
    rdtype, rdata = known
    if data is not None and rdata and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(rdata) - 1))
        rdata = rdata[:at] + data.draw(st.binary(max_size=2)) + rdata[at + 1 :]
    assert rdata_text(rdtype, rdata) == odd_rdata_text(rdtype, rdata)


@given(st.binary(min_size=16, max_size=16).map(lambda octets: bytes(each if each > 99 else 0 for each in octets)))
def test_ipv6_addresses_are_written_as_dnspython_writes_them(address):
    assert rdata_text(codes.AAAA, address) == odd_rdata_text(codes.AAAA, address)


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=6))
def test_names_are_written_as_everywhere_else(labels):
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    assert name_text(name) == names.to_text_absolute(name)


def test_the_text_of_a_zone_does_not_depend_on_the_order_of_its_records():
    some = [
        "b 5 A 192.0.2.2",
        "b 5 A 192.0.2.1",
        "a 5 TXT x",
        "b 5 AAAA ::1",
        "@ 5 NS zz",
        "c.b 5 A 192.0.2.9",
        "b 5 RRSIG A 8 2 5 1 1 1 @ AQ==",
    ]
    one, other = (read_zone_file(HEAD + "\n".join(order), APEX, "z") for order in (some, some[::-1]))
    assert write_zone_file(one.nodes, APEX) == write_zone_file(other.nodes, APEX)
    owners = [line.split()[0] for line in write_zone_file(one.nodes, APEX).splitlines()]
    assert owners == ["Example.com."] * 3 + ["a.Example.com."] + ["b.Example.com."] * 4 + ["c.b.Example.com."]
    assert node_lines(b"", one.nodes[b""], APEX)[0].split()[3] == "SOA"
