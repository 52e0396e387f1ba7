"""Runs of addresses taken at once lead to the same zone, or the same error, as the records read one by one."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.transfer_messages import APEX

from nameserver.errors import NameserverError
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.walk import Section
from nameserver.zone.builder import ZoneBuilder

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOA_AND_NS = (
    b"\xc0\x0c" + struct.pack("!HHIH", codes.SOA, 1, 60, 24) + b"\1n\0\0" + bytes(20)
    + b"\xc0\x0c" + struct.pack("!HHIH", codes.NS, 1, 60, 3) + b"\1n\0"
)  # fmt: skip


@dataclass
class Draft:
    """A message in the making, and where in it names stand that a pointer may lead to."""

    apex: bytes = APEX
    body: bytearray = field(default_factory=bytearray)
    count: int = 2
    places: list[int] = field(default_factory=lambda: [12])

    def __post_init__(self) -> None:
        self.body += bytes(12) + self.apex + bytes(4) + SOA_AND_NS

    def add(self, labels: bytes | tuple[bytes, ...], parent: int, tail: bytes) -> None:
        """A record; `parent` chooses the place pointed at, from the last; without a label the owner is that alone."""
        place = self.places[-1 - parent % len(self.places)]
        for label in labels if isinstance(labels, tuple) else (labels,) if labels else ():
            self.places.append(len(self.body))
            self.body += bytes((len(label),)) + label
        self.body += struct.pack("!H", 0xC000 | place) + tail
        self.count += 1


def tail(rdtype: int, rdata: bytes, ttl: int = 60, rdclass: int = 1) -> bytes:
    return struct.pack("!HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata


ADDRESS = tail(codes.A, b"\1\2\3\4")
addresses = st.sampled_from([
    tail(codes.A, b"\1\2\3\4"), tail(codes.A, b"\1\2\3\5"), tail(codes.A, b"\1\2\3\4", 61),
    tail(codes.AAAA, bytes(16)), tail(codes.AAAA, b"\1" * 16),
])  # fmt: skip
odd = st.sampled_from([
    tail(codes.A, b"\1\2\3"), tail(codes.A, b"\1\2\3\4", 2**31), tail(codes.A, b"\1\2\3\4", 60, 3),
    tail(codes.TXT, b"\1x"), tail(codes.NS, b"\xc0\x0c"), tail(codes.CNAME, b"\1c\0"), tail(codes.SOA, bytes(22)),
    tail(65280, b"\3www\xc0\x0c"), tail(codes.DNAME, b"\1d\0"),
])  # fmt: skip
names = st.sampled_from([b"a", b"b", b"www", b"Www", b"x" * 63, b"\0", b"\xe4", b"_sip"]) | st.binary(
    min_size=1, max_size=63
)
fresh = st.integers(0, 10**6).map(lambda number: f"h{number}".encode())
plain = st.tuples(fresh | st.just(b""), st.just(0) | st.integers(0, 3), addresses)
two_labels = st.tuples(names, names | fresh)
any_record = st.tuples(names | fresh | two_labels | st.just(b""), st.integers(0, 50), addresses | odd)
records = st.lists(plain | plain | plain | any_record, min_size=8, max_size=60)
changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3)
limits = st.sampled_from([TransferLimits(), TransferLimits(max_rrset_records=1), TransferLimits(max_types_per_name=1)])


def outcome(
    read: Callable[[ZoneBuilder, Section], object],
    message: bytes,
    count: int,
    limit: TransferLimits,
    apex: bytes = APEX,
) -> object:
    """What becomes of the message, read twice as if it were two: the zone, or None where it is refused."""
    builder = ZoneBuilder(apex, limit)
    try:
        for _ in range(2):
            found = read(builder, Section(message, 12 + len(apex) + 4, count))
        built = builder.finish()
    except NameserverError:
        return None  # where several things are wrong, any of them may be found first
    # How often an RRset's TTLs were put right depends on how its records were gathered.
    return found, built.nodes, built.records, built.size, built.duplicates, built.out_of_zone, built.mixed_ttl > 0


def at_once(builder: ZoneBuilder, section: Section) -> object:
    if (first := next(section, None)) is not None:  # the SOA, which would end it
        builder.add_walked(first)
    return builder.extend(section)


def one_by_one(builder: ZoneBuilder, section: Section) -> object:
    if (first := next(section, None)) is not None:
        builder.add_walked(first)
    for walked in section:
        if walked[2] == codes.IN and walked[1] == codes.SOA:
            return walked
        builder.add_walked(walked)
    return None


# The second record is good, the third is not: CPython before 3.11.5 matches possessive quantifiers wrongly there.
CUT_IN_A_RUN = [(b"h0", 0, ADDRESS), (b"h0", 0, ADDRESS), (b"", 0, ADDRESS), (b"", 0, tail(codes.A, b"\1\2\3"))]


@QUICK
@given(records, changes, limits, st.integers(-1, 1))
@example([*CUT_IN_A_RUN, *[(b"h0", 0, ADDRESS)] * 4], [], TransferLimits(), 0)
def test_a_run_of_addresses_is_what_its_records_are(content, changed, limit, miscounted):
    draft = Draft()
    for label, parent, each in content:
        draft.add(label, parent, each)
    for position, value in changed:
        draft.body[position % len(draft.body)] = value
    message = bytes(draft.body)
    together = outcome(at_once, message, draft.count + miscounted, limit)
    assert together == outcome(one_by_one, message, draft.count + miscounted, limit)


@pytest.mark.parametrize("size", [1, 33, 39, 40, 41, 60, 63])
def test_no_owner_of_more_than_255_octets_is_taken(size):
    """Below an apex of 215, whether it holds addresses or something else."""
    draft = Draft(b"\x3fa" + b"b" * 62 + (b"\x3a" + b"c" * 58) * 2 + b"\x1f" + b"d" * 31 + b"\0")
    assert len(draft.apex) == 215
    for number in range(40):
        draft.add(b"%02d" % number + b"x" * (size - 2) if size > 1 else b"%d" % (number % 10), number, ADDRESS)
    for rdtype in (b"\0\1", b"\xff\0"):
        message = bytes(draft.body).replace(ADDRESS, rdtype + ADDRESS[2:])
        taken = outcome(at_once, message, draft.count, TransferLimits(), draft.apex)
        assert taken == outcome(one_by_one, message, draft.count, TransferLimits(), draft.apex)
        assert (taken is not None) == (size <= 39)


def test_most_records_are_taken_so(monkeypatch: pytest.MonkeyPatch):
    """Else the property would compare the slow way with itself."""
    draft = Draft()
    for number in range(100):
        draft.add(b"host%d" % number, len(draft.places) - 1, tail(codes.A, b"\1\2\3\4"))
        draft.add(b"", 0, tail(codes.AAAA, bytes(16)))
    builder = ZoneBuilder(APEX, TransferLimits())
    section = Section(bytes(draft.body), 12 + len(APEX) + 4, draft.count)
    builder.add_walked(next(section))
    asked: list[int] = []
    before = ZoneBuilder._take_plain
    monkeypatch.setattr(
        ZoneBuilder,
        "_take_plain",
        lambda self, section, most: asked.append(taken := before(self, section, most)) or taken,
    )
    assert builder.extend(section) is None
    assert sum(asked) < 5
    assert builder.finish().records == 202
