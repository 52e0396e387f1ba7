"""Properties of transfers: differences lead where they say, what is sent is what arrives, and nothing crashes."""

import struct
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.transfer_messages import APEX, NOW, NS, QUERY_ID, WWW, build, inbound, message, rr, soa

from nameserver.errors import TransferError, WireError, ZoneError
from nameserver.transfer.inbound import IncrementalTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.transfer.outbound import axfr_messages
from nameserver.wire import codes
from nameserver.wire.rrset import Record
from nameserver.wire.tsig import StreamSigner, StreamVerifier, TsigKey
from nameserver.wire.walk import Section
from nameserver.zone.builder import BuiltZone, ZoneBuilder
from nameserver.zone.changes import apply_changes, diff
from nameserver.zone.node import find_rrset, owner_of, unpack_node
from nameserver.zone.zone_text import write_zone_file
from nameserver.zone.zonefile import read_zone_file

LIMITS = TransferLimits()
KEY = TsigKey(b"\3key\0", "hmac-sha256", b"s" * 32)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

labels = st.binary(min_size=1, max_size=4).map(lambda label: bytes((len(label),)) + label)
few = st.sampled_from([b"\1a", b"\1A", b"\3www", b"\3wWw", b"\1*", b"\2ns", b"\1\0", b"\2.\\"])
prefixes = st.lists(few | labels, min_size=1, max_size=3).map(b"".join)
RDATAS = [
    (codes.A, b"\1\2\3\4"), (codes.A, b"\1\2\3\5"), (codes.AAAA, bytes(16)), (codes.TXT, b"\1x"), (codes.TXT, b"\1X"),
    (codes.MX, b"\0\1\1a\0"), (codes.MX, b"\0\1\1A\0"), (codes.NS, b"\1n\0"), (codes.SRV, bytes(6) + b"\1t\0"),
    (codes.RRSIG, b"\0\1" + bytes(16) + b"\1s\0sig"), (codes.RRSIG, b"\0\x10" + bytes(16) + b"\1S\0sig"),
    (65280, b""), (65280, b"\xc0\x0c"), (codes.NSEC, b"\1n\0\0\1\x40"), (codes.DS, bytes(5)),
    (codes.NAPTR, bytes(7) + b"\1n\0"), (257, b"\0\1ax"), (codes.PTR, b"\1P\0"),
]  # fmt: skip
records = st.builds(
    lambda prefix, content, ttl: Record(prefix + APEX, content[0], codes.IN, ttl, content[1]),
    prefixes, st.sampled_from(RDATAS), st.sampled_from([0, 60, 300, 2**31 - 1]),
)  # fmt: skip
contents = st.lists(records, max_size=25)


def zone(serial: int, content: Iterable[Record]) -> BuiltZone:
    return build(soa(serial), NS, *content)


def comparable(nodes: dict[bytes, bytes]) -> dict[bytes, tuple[bytes, set[tuple[int, int, frozenset[bytes]]]]]:
    """Nodes as sets: the order of an RRset's records means nothing."""
    return {
        key: (
            owner_of(node, key, APEX),
            {(rrset.type, rrset.ttl, frozenset(rrset.rdatas())) for rrset in unpack_node(node, b"")},
        )
        for key, node in nodes.items()
    }


def merge(nodes: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    return {key: node for key, node in {**nodes, **changes}.items() if node is not None}


def sent(built: BuiltZone, reserve: int = 0) -> list[bytes]:
    items = [(owner_of(node, key, APEX), node) for key, node in built.nodes.items()]
    question = APEX + struct.pack("!HH", codes.AXFR, 1)
    soa_rrset = find_rrset(built.nodes[b""], codes.SOA, APEX)
    return list(axfr_messages(soa_rrset, items, QUERY_ID, question, reserve=reserve))


@QUICK
@given(contents, contents)
def test_a_difference_applied_leads_to_the_new_version(old_content, new_content):
    old, new = zone(5, old_content), zone(6, new_content)
    applied = apply_changes(old.nodes.get, [diff(old.nodes, new.nodes, APEX)], APEX, LIMITS)
    assert comparable(merge(old.nodes, applied.nodes)) == comparable(new.nodes)
    assert applied.records_delta == new.records - old.records
    assert applied.size_delta == new.size - old.size
    assert all(old.nodes.get(key) != node for key, node in applied.nodes.items())


@QUICK
@given(st.lists(contents, min_size=2, max_size=4), st.data())
def test_a_chain_of_differences_sent_as_ixfr_leads_to_the_last_version(versions, data):
    zones = [zone(5 + index, content) for index, content in enumerate(versions)]
    stream = [soa(4 + len(zones))]
    for old, new in pairwise(zones):
        step = diff(old.nodes, new.nodes, APEX)
        stream += [*step.deleted, *step.added]
    stream.append(soa(4 + len(zones)))
    transfer = inbound(TransferKind.IXFR, 5)
    done = False
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        done = transfer.feed(message(*stream[:cut], kind=TransferKind.IXFR), NOW)
        stream = stream[cut:]
    assert done
    result = transfer.result()
    assert isinstance(result, IncrementalTransfer)
    applied = apply_changes(zones[0].nodes.get, result.changesets, APEX, LIMITS)
    assert comparable(merge(zones[0].nodes, applied.nodes)) == comparable(zones[-1].nodes)


@QUICK
@given(contents, st.booleans())
def test_a_zone_sent_and_received_is_the_same_zone(content, with_tsig):
    built = zone(6, content)
    messages = sent(built, reserve=200)
    verifier = None
    if with_tsig:
        signer, verifier = StreamSigner(KEY, b"mac"), StreamVerifier(KEY, b"mac")
        messages = [signer.sign(each, NOW) for each in messages]
    transfer = inbound(verifier=verifier)
    assert [transfer.feed(each, NOW) for each in messages][-1]
    received = transfer.result().built
    assert received.nodes == built.nodes
    assert (received.records, received.size, received.warnings) == (built.records, built.size, [])


@QUICK
@given(contents, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(content, random):
    """Except for which of several letter cases is kept, so here there is one case."""
    lower = [record._replace(owner=record.owner.lower(), rdata=record.rdata.lower()) for record in content]
    shuffled = list(lower)
    random.shuffle(shuffled)
    assert comparable(zone(6, lower).nodes) == comparable(zone(6, shuffled).nodes)


@QUICK
@given(contents)
def test_a_zone_written_and_read_is_the_same_zone(content):
    built = zone(6, [record for record in content if record.type not in (codes.NSEC, codes.RRSIG, codes.DS)])
    read = read_zone_file(write_zone_file(built.nodes, APEX), APEX, "z")
    assert comparable(read.nodes) == comparable(built.nodes)


GOOD = {
    TransferKind.AXFR: message(soa(6), NS, WWW, rr("m 1 MX 1 a.b.c"), rr("s 1 SRV 1 2 3 x"), rr('t 1 TXT "x"'), soa(6)),
    TransferKind.IXFR: message(soa(6), soa(5), WWW, soa(6), rr("m 1 MX 1 a.b.c"), soa(6), kind=TransferKind.IXFR),
}
mutations = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=6)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(list(GOOD)), mutations)
def test_a_mutated_message_is_taken_or_refused_but_never_crashes(kind, changes):
    """Bytes replaced, inserted and left out anywhere: `feed` raises TransferError and nothing else."""
    data = bytearray(GOOD[kind])
    for position, value, how in changes:
        position %= len(data)
        if how == 0:
            data[position] = value
        elif how == 1:
            data.insert(position, value)
        elif len(data) > 1:
            del data[position]
    transfer = inbound(kind)
    held = zone(5, [WWW])
    try:
        if not transfer.feed(bytes(data), NOW):
            return
    except TransferError:
        return
    result = transfer.result()
    if isinstance(result, IncrementalTransfer):
        try:
            apply_changes(held.nodes.get, result.changesets, APEX, LIMITS)
        except ZoneError:
            return


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 65535))
def test_noise_is_walked_over_or_refused(noise, count):
    try:
        for owner, rdtype, rdclass, tail in Section(bytes(12) + noise, 12, count):
            assert owner[-1] == 0 and len(owner) <= 255
            assert tail[:4] == struct.pack("!HH", rdtype, rdclass)
            assert len(tail) == 10 + int.from_bytes(tail[8:10], "big")
    except WireError:
        pass


class OneByOne(ZoneBuilder):
    """A builder that leaves every record to the general reader."""

    def _take_plain(self, section: Section, _most: int) -> int:
        return 0


def compressed(sent: list[Record], choices: list[int]) -> bytes:
    """Records as a section, their owners compressed in as many ways as `choices` say."""
    out = bytearray(bytes(12) + APEX + bytes(4))
    places = {APEX: 12}
    for index, record in enumerate(sent):
        owner, choice = record.owner, choices[index % len(choices)]
        here, rest = len(out), owner
        if choice % 3 == 1 and owner in places:
            out += (0xC000 | places[owner]).to_bytes(2, "big")
        elif choice % 3 == 2:
            while rest not in places:
                places.setdefault(rest, here + len(owner) - len(rest))
                out += rest[: rest[0] + 1]
                rest = rest[rest[0] + 1 :]
            out += (0xC000 | places[rest]).to_bytes(2, "big")
        else:
            out += owner
            places[owner] = here
        out += struct.pack("!HHIH", record.type, record.rdclass, record.ttl, len(record.rdata)) + record.rdata
    return bytes(out)


def taken(make, sections: list[tuple[bytes, int]]) -> object:
    """What a builder makes of sections: the zone, or why not."""
    builder = make(APEX, LIMITS)
    builder.add(soa(1))
    try:
        for data, count in sections:
            while builder.extend(section := Section(data, 12 + len(APEX) + 4, count)) is not None:
                count = section.left
                data = data[: 12 + len(APEX) + 4] + data[section.offset :]
        built = builder.finish()
    except (WireError, ZoneError) as error:
        return str(error)
    return comparable(built.nodes), built.records, built.size, built.tally


@settings(QUICK, max_examples=300)
@given(
    st.lists(st.lists(records | st.just(NS), max_size=12), min_size=1, max_size=3),
    st.lists(st.integers(0, 2), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 255)), max_size=2),
)
@example([[rr("a 0 A 192.0.2.1"), rr("A 0 A 192.0.2.1"), rr("A 60 A 192.0.2.1")]], [0], [])
def test_records_taken_at_once_make_the_zone_that_they_make_one_by_one(messages, choices, mutations):
    sections = [(compressed(sent, choices), len(sent)) for sent in ([NS], *messages)]
    for which, place, octet in mutations:
        data, count = sections[which % len(sections)]
        place = 12 + len(APEX) + 4 + place
        if place < len(data):
            sections[which % len(sections)] = data[:place] + bytes((octet,)) + data[place + 1 :], count
    assert taken(ZoneBuilder, sections) == taken(OneByOne, sections)
