"""Which question shows which NSEC3, for each kind of name."""

import dns.name
from support.signing import Nsec3, signed_nodes

from nameserver.migrate.asking.zone_stream import ZoneStream, make_record, split_record
from nameserver.migrate.checks.by_query import askable_of
from nameserver.migrate.checks.hashed_proofs import MOST_ITERATIONS, hashed_proofs_of
from nameserver.wire import codes, names
from nameserver.zone.node import unpack_node
from nameserver.zone.soa import Soa
from nameserver.zone.sorted_places import canonical_place

ZONE = names.from_text("shop.example")
TEXT = f"""@ 300 IN SOA ns1 host 5 3600 900 1209600 300
@ NS ns1
ns1 A 192.0.2.53
ns1 HINFO x y
deep.empty A 192.0.2.1
www CNAME ns1
starred CNAME ns1
*.starred TXT x
gone DNAME other.example.
plain NS ns.plain
ns.plain A 192.0.2.2
safe NS ns1
safe DS 12345 13 2 {"ab" * 32}
"""


def stream(*methods: Nsec3) -> ZoneStream:
    _, nodes = signed_nodes(TEXT, "shop.example.", *methods)
    records = [
        make_record(canonical_place(key), rrset.type, rdata, rrset.ttl)
        for key, node in nodes.items()
        for rrset in unpack_node(node, b"")
        for rdata in rrset.rdatas()
        if rrset.type != codes.SOA
    ]
    return ZoneStream(ZONE, Soa(b"\0", b"\0", 5, 1, 1, 1, 1), b"", 300, sorted(records))


def place(name: str) -> bytes:
    return canonical_place(names.from_text(name)[:-1] if name else b"")


def test_each_nsec3_has_its_question_but_those_that_no_question_shows():
    method = Nsec3(3, "ab")
    proofs = {proof.base: proof for proof in askable_of(stream(method)).proofs}
    assert {base: proof.question for base, proof in proofs.items()} == {
        place(""): (place(""), 13),
        place("ns1"): (place("ns1"), 17),  # it has an HINFO
        place("empty"): (place("empty"), 13),
        place("deep.empty"): (place("deep.empty"), 13),
        place("www"): (place("no-such-name.www"), codes.A),
        place("*.starred"): (place("*.starred"), 13),
        place("gone"): (place("gone"), 13),
        place("plain"): (place("plain"), codes.DS),
    }  # not safe, whose DS is there, nor starred, below which the wildcard would answer
    for base, proof in proofs.items():
        name = dns.name.from_text(
            ".".join(part.decode() for part in base.split(b"\0")[::-1]) or "@", dns.name.from_text("shop.example")
        )
        assert proof.place == method.hash(name).encode()


def test_two_chains_or_too_many_iterations_are_left_out():
    assert askable_of(stream(Nsec3(), Nsec3(1))).proofs == []
    many = stream(Nsec3(MOST_ITERATIONS + 1))
    assert askable_of(many).proofs == []
    assert hashed_proofs_of(many, {}, {}) == []


def test_a_part_of_what_can_be_asked_has_the_proofs_of_its_names():
    every = askable_of(stream(Nsec3()))
    part = every.of([each for each in every.wanted if each[0] in (b"", place("www"))])
    assert {proof.base for proof in part.proofs} == {b"", place("www")}
    assert {split_record(record)[1] for record in stream(Nsec3()).records} >= {codes.NSEC3, codes.RRSIG}
