"""Look-ups in random zones agree with a slow restatement of the rules over sets of labels."""

import dns.name
from hypothesis import given
from hypothesis import strategies as st
from support.served_zones import HEAD, rrsets_from_text

from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone
from nameserver.zone.lookup import Kind, lookup
from nameserver.zone.node import pack_node

APEX = b"\x01z\x00"
TYPES = {
    codes.A: b"\x01\x02\x03\x04",
    codes.TXT: b"\x01t",
    codes.NS: b"\x02ns\x01z\x00",
    codes.CNAME: b"\x01a\x01z\x00",
    codes.DNAME: b"\x01d\x01q\x00",
    codes.DS: b"\x00\x01\x08\x02" + bytes(32),
}
APEX_RRSETS = [rrset for rrset in rrsets_from_text(HEAD, "z.") if rrset.owner == APEX]

labels = st.sampled_from(["a", "b", "*"])
owners = st.lists(labels, min_size=1, max_size=4).map(tuple)
contents = st.one_of(
    st.just({codes.CNAME}),
    st.sets(st.sampled_from([codes.A, codes.TXT]), min_size=1),
    st.sets(st.sampled_from([codes.NS, codes.DS]), min_size=1),
    st.just({codes.DNAME, codes.TXT}),
)
zones = st.dictionaries(owners, contents, max_size=10)
questions = st.tuples(
    st.lists(labels, max_size=5).map(tuple), st.sampled_from([codes.A, codes.TXT, codes.DS, codes.NS])
)


def wire_key(owner: tuple[str, ...]) -> bytes:
    return dns.name.Name(owner).to_wire(origin=dns.name.root)[:-1] if owner else b""


def zone_of(model: dict[tuple[str, ...], set[int]]) -> Zone:
    nodes = {b"": pack_node(APEX_RRSETS)}
    for owner, types in model.items():
        key = wire_key(owner)
        nodes[key] = pack_node([RRset.of(key + APEX, rdtype, 60, [TYPES[rdtype]]) for rdtype in types])
    return Zone.from_nodes(APEX, nodes, 1)


def expected(model: dict[tuple[str, ...], set[int]], name: tuple[str, ...], rdtype: int) -> Kind:
    """RFC 1034 §4.3.2 step 3 with RFC 4592 and RFC 6672, label by label from the apex down."""
    model = {(): {codes.SOA, codes.NS}} | model
    existing = {owner[start:] for owner in model for start in range(len(owner) + 1)}
    for depth in range(1, len(name) + 1):
        here = name[len(name) - depth :]
        types = model.get(here, set())
        at_name = here == name
        if codes.NS in types and not (at_name and rdtype == codes.DS):
            return Kind.REFERRAL
        if codes.DNAME in types and not at_name:
            return Kind.DNAME
    if name not in existing:
        encloser = next(name[start:] for start in range(len(name) + 1) if name[start:] in existing)
        name = ("*", *encloser)
        if name not in existing:
            return Kind.NXDOMAIN
    types = model.get(name, set())
    if rdtype in types:
        return Kind.HIT
    return Kind.CNAME if codes.CNAME in types else Kind.NODATA


@given(zones, questions)
def test_the_kind_of_answer_follows_the_rules(model, question):
    name, rdtype = question
    key = wire_key(name)
    answer = lookup(zone_of(model), key, rdtype, key + APEX)
    assert answer.kind is expected(model, name, rdtype)
    if answer.kind in (Kind.HIT, Kind.CNAME):
        assert [rrset.owner for rrset in answer.answer] == [key + APEX]
