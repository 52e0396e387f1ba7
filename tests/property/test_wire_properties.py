"""Properties of the wire layer: whatever bytes come in, and whatever replies go out.

No deadlines: they are wall clock, and CPU bounds are claimed in the unit tests.
"""

import struct
from contextlib import suppress
from itertools import product

import dns.flags
import dns.message
import dns.name
from hypothesis import given, settings
from hypothesis import strategies as st

from nameserver.errors import TransferError, WireError
from nameserver.wire import codes, names
from nameserver.wire.edns import pack_opt
from nameserver.wire.framing import Deframer, frame
from nameserver.wire.query import build_query
from nameserver.wire.render import render
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request, parse_request
from nameserver.wire.response import parse_soa_response
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import ALGORITHMS, StreamVerifier, TsigKey

KEY = TsigKey(names.from_text("key"), "hmac-sha256", bytes(range(32)))
NOW = 1_700_000_000


def _join(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"


def wire_names() -> st.SearchStrategy[bytes]:
    return st.lists(st.binary(min_size=1, max_size=20), max_size=6).map(_join)


# Few labels, so that names share suffixes and differ by case alone often enough. Drawn as one choice each: a reply
# holds dozens, and generating them label by label costs more than rendering and reading it.
SHARED_NAMES = [
    _join(list(labels))
    for size in range(4)
    for labels in product((b"a", b"A", b"b", b"abcdef", b"b\x00."), repeat=size)
]
shared_names = st.sampled_from(SHARED_NAMES)


@given(wire_names())
@settings(deadline=None)
def test_a_name_survives_text_and_back(name):
    text = names.to_text(name)
    assert names.from_text(text) == name
    assert names.from_text(names.to_text_absolute(name)) == name
    assert dns.name.from_text(text).to_wire() == name


@given(wire_names(), st.binary(max_size=5), st.binary(max_size=5))
@settings(deadline=None)
def test_a_name_is_read_and_skipped_wherever_it_stands(name, before, after):
    message, end = before + name + after, len(before) + len(name)
    assert names.read_name(message, len(before)) == (name, end)
    assert names.read_plain_name(message, len(before)) == (name, end)
    assert names.skip_name(message, len(before)) == end


@given(shared_names, shared_names)
@settings(deadline=None)
def test_at_or_below_agrees_with_dnspython(name, origin):
    name, origin = name.lower(), origin.lower()
    theirs = dns.name.from_wire(name, 0)[0].is_subdomain(dns.name.from_wire(origin, 0)[0])
    assert names.is_at_or_below(name, origin) is theirs
    key = names.relative_key(name, origin)
    assert (key is not None) is theirs
    assert key is None or key + origin == name


@given(wire_names())
@settings(deadline=None)
def test_label_offsets_and_parent_agree(name):
    offsets = names.label_offsets(name)
    if len(offsets) > 1:
        assert names.parent(name) == name[offsets[1] :]
    assert len(offsets) == len(dns.name.from_wire(name, 0)[0].labels) - 1


@given(st.binary(max_size=80), st.integers(0, 80))
@settings(deadline=None)
def test_any_bytes_read_as_a_name_give_a_name_or_a_wire_error(data, offset):
    with suppress(WireError):
        name, end = names.read_name(data, offset)
        assert len(name) <= 255
        assert end <= len(data)
        assert dns.name.from_wire(name, 0)[1] == len(name)
        assert names.skip_name(data, offset) == end


def _sections(draw: st.DrawFn) -> bytes:
    """Bytes that look more like DNS than chance would make them."""
    pieces = st.one_of(
        st.just(b"\x07example\x03com\x00\x00\x06\x00\x01"),
        st.just(b"\xc0\x0c"),
        st.just(pack_opt(1232)),
        st.just(b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00"),
        st.just(ALGORITHMS["hmac-sha256"].wire),
        st.just(b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16" + bytes(22)),
        st.binary(max_size=20),
    )
    return b"".join(draw(st.lists(pieces, max_size=6)))


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    flags = draw(st.sampled_from([0, codes.RD, codes.NOTIFY << 11, codes.UPDATE << 11, 0x8000]) | st.integers(0, 65535))
    counts = draw(st.tuples(*[st.integers(0, 3) | st.integers(0, 65535)] * 4))
    return struct.pack("!HHHHHH", 5, flags, *counts) + _sections(draw)


@given(st.binary(max_size=100) | messages())
@settings(deadline=None, max_examples=400)
def test_any_bytes_into_parse_request_give_a_request_or_a_wire_error(data):
    with suppress(WireError):
        request = parse_request(data)
        assert data[12 : 12 + len(request.question)] == request.question


@given(st.binary(max_size=100) | messages())
@settings(deadline=None, max_examples=200)
def test_any_bytes_into_parse_soa_response_give_a_response_or_a_wire_error(data):
    with suppress(WireError):
        parse_soa_response(data, 5, names.from_text("example.com"))


@given(st.binary(max_size=100) | messages())
@settings(deadline=None, max_examples=200)
def test_any_bytes_into_a_stream_verifier_give_a_transfer_error(data):
    with suppress(TransferError):
        StreamVerifier(KEY, b"m" * 32).check(data, NOW)
        raise AssertionError("an unsigned or forged message was accepted")


TYPES = [codes.A, codes.NS, codes.MX, codes.TXT, codes.PTR, codes.SRV, codes.SOA]


def _rdata(rdtype: int, name: bytes, number: int) -> bytes:
    if rdtype == codes.A:
        return number.to_bytes(4, "big")
    if rdtype == codes.TXT:
        return bytes((number % 100,)) + b"t" * (number % 100)
    if rdtype == codes.SOA:
        return name + SHARED_NAMES[number % len(SHARED_NAMES)] + number.to_bytes(20, "big")
    prefix = {codes.MX: b"\x00\x0a", codes.SRV: b"\x00\x01\x00\x02\x00\x35"}.get(rdtype, b"")
    return prefix + name


def _rrset(owner: bytes, rdtype: int, ttl: int, values: list[tuple[bytes, int]]) -> RRset:
    if rdtype == codes.SOA:
        values = values[:1]
    return RRset.of(owner, rdtype, ttl, dict.fromkeys(_rdata(rdtype, name, number) for name, number in values))


rrsets = st.builds(
    _rrset,
    shared_names,
    st.sampled_from(TYPES),
    st.integers(0, 2**31 - 1),
    st.lists(st.tuples(shared_names, st.integers(0, 65535)), min_size=1, max_size=4),
)


def _seen(message: dns.message.Message, section: int) -> list[tuple[bytes, int, int, bytes]]:
    return [
        (rrset.name.to_wire(), int(rrset.rdtype), rrset.ttl, rdata.to_wire())
        for rrset in message.sections[section]
        for rdata in rrset
    ]


def _written(section: list[RRset]) -> list[tuple[bytes, int, int, bytes]]:
    return [(r.owner, r.type, r.ttl, r.rdata) for rrset in section for r in rrset.records()]


def _folded(records: list[tuple[bytes, int, int, bytes]]) -> list[tuple[bytes, int, int, bytes]]:
    """Letters of all names in lower case: what fits only when their case is not looked at is sent so."""
    return [(owner.lower(), rdtype, ttl, rdata.lower()) for owner, rdtype, ttl, rdata in records]


sections = st.lists(rrsets, max_size=4)


@given(shared_names, sections, sections, sections, st.booleans())
@settings(deadline=None, max_examples=200)
def test_a_rendered_reply_is_what_dnspython_reads_case_included(qname, answer, authority, additional, edns):
    request: Request = parse_request(build_query(9, qname, codes.A, edns=edns))
    reply = Reply(authoritative=True, answer=answer, authority=authority, additional=additional)
    message = dns.message.from_wire(render(request, reply, 65535, 1232), one_rr_per_rrset=True)
    assert message.question[0].name.to_wire() == qname
    assert _seen(message, 1) == _written(answer)
    assert _seen(message, 2) == _written(authority)
    assert _seen(message, 3) == _written(additional)
    assert (message.edns == 0) is edns
    assert not message.flags & dns.flags.TC


@given(shared_names, sections, sections, sections, st.integers(64, 700), st.integers(0, 5))
@settings(deadline=None, max_examples=200)
def test_a_reply_cut_to_a_limit_keeps_it_and_holds_whole_rrsets_only(qname, answer, authority, additional, limit, glue):
    request = parse_request(build_query(9, qname, codes.A, edns=True))
    reply = Reply(answer=answer, authority=authority, additional=additional, glue_required=glue)
    data = render(request, reply, limit, 1232)
    assert len(data) <= max(limit, 12 + len(request.question) + 11)
    message = dns.message.from_wire(data, one_rr_per_rrset=True)
    seen = [_folded(_seen(message, section)) for section in range(4)]
    wholes = [_folded(_written(answer[:n])) for n in range(len(answer) + 1)]
    assert seen[1] in wholes
    missing = seen[1] != wholes[-1] or seen[2] != _folded(_written(authority))
    required = _folded(_written(additional[:glue]))  # stands first, and ends the message where it does not fit
    missing = missing or seen[3][: len(required)] != required
    assert bool(message.flags & dns.flags.TC) is missing


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 30), min_size=1, max_size=8))
@settings(deadline=None)
def test_frames_come_out_as_they_went_in_however_they_are_cut(bodies, cuts):
    stream = b"".join(frame(body) for body in bodies)
    deframer, out, offset, turn = Deframer(), [], 0, 0
    while offset < len(stream):
        size = cuts[turn % len(cuts)]
        out += deframer.feed(stream[offset : offset + size])
        offset += size
        turn += 1
    assert out == bodies
    assert deframer.pending == 0
