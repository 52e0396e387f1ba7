"""The parity gate: what two streams of records have in common, and what is made of it."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.migrate.asking.zone_stream import ZoneStream, make_record, record_text, split_record
from nameserver.migrate.checks.compare import MATCH, Coverage, Kind, Side, differences, judge
from nameserver.wire import codes, names
from nameserver.zone.soa import Soa, parse_soa
from nameserver.zone.sorted_places import canonical_place

ZONE = b"\x07example\x03com\x00"
PLACES = [canonical_place(key) for key in (b"", b"\x01a", b"\x03www", b"\x01a\x03www", b"\x02\x00\x01")]

records = st.builds(
    make_record,
    st.sampled_from(PLACES),
    st.sampled_from([1, 16, 256]),
    st.binary(max_size=6),
    st.sampled_from([0, 1, 300]),
)


def soa_rdata(serial: int = 7, minimum: int = 300) -> bytes:
    mname, rname = names.from_text("ns1.example.com."), names.from_text("hostmaster.example.com.")
    return mname + rname + b"".join(number.to_bytes(4, "big") for number in (serial, 3600, 900, 1209600, minimum))


def side(lines: list[bytes], serial: int = 7, minimum: int = 300, ttl: int = 300) -> Side:
    rdata = soa_rdata(serial, minimum)
    return Side("192.0.2.1:53", ZoneStream(ZONE, parse_soa(rdata), rdata, ttl, sorted(lines)))


def a(owner: str, address: bytes = b"\xc0\0\2\1", ttl: int = 300, rdtype: int = codes.A) -> bytes:
    key = names.from_text(owner + ".")[:-1] if owner else b""
    return make_record(canonical_place(key), rdtype, address, ttl)


@given(st.lists(records), st.lists(records))
def test_the_walk_tells_what_a_comparison_of_sets_tells(old: list[bytes], new: list[bytes]):
    def by_key(lines: list[bytes]) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = defaultdict(list)
        for line in lines:
            found[line[:-4]].append(line[-4:])
        return found

    one, two = by_key(old), by_key(new)
    told: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}
    for each in differences(sorted(old), sorted(new)):
        told[each.kind].add((each.old or each.new or b"")[:-4])
    assert told[Kind.ONLY_OLD] == one.keys() - two.keys()
    assert told[Kind.ONLY_NEW] == two.keys() - one.keys()
    assert told[Kind.TTL] == {key for key in one.keys() & two.keys() if set(one[key]) != set(two[key])}
    assert told[Kind.TWICE_OLD] == {key for key, ttls in one.items() if len(ttls) > 1}
    assert told[Kind.TWICE_NEW] == {key for key, ttls in two.items() if len(ttls) > 1}


@given(st.sampled_from(PLACES), st.integers(256, 65279), st.binary(max_size=300), st.integers(0, 2**31 - 1))
def test_a_record_comes_apart_as_it_was_put_together(place: bytes, rdtype: int, rdata: bytes, ttl: int):
    parts = split_record(make_record(place, rdtype, rdata, ttl))
    assert (parts[0], parts[1], len(parts[2]), parts[3]) == (place, rdtype, len(rdata), ttl)


@pytest.mark.parametrize("asked", [0, 160], ids=["an empty list of names", "names that nobody has"])
def test_two_sides_of_which_nothing_was_seen_are_not_the_same(asked: int):
    one, two = side([]), side([])
    for each in (one, two):
        each.coverage = Coverage(asked, why="refused")
    report = judge(one, two, accept_partial=True)
    assert (report.exit_code, report.faults) == (1, {"nothing-compared"})


def test_two_zones_that_hold_nothing_but_their_soa_are_no_match():
    report = judge(side([]), side([]))
    assert (report.exit_code, report.faults) == (1, {"nothing-compared"})
    assert report.verdict == "PARITY IS NOT PROVEN: do not proceed"


def test_an_empty_zone_at_the_new_side_is_not_the_same_as_one_that_may_not_be_transferred():
    old, new = side([]), side([])
    old.coverage = Coverage(0, why="refused", of=1)
    report = judge(old, new, accept_partial=True)
    assert "nothing-compared" in report.faults
    assert report.verdict.startswith("PARITY IS NOT PROVEN")


def test_two_sides_that_hold_the_same_may_be_cut_over():
    report = judge(side([a("www"), a("mail")]), side([a("mail"), a("www")]))
    assert (report.exit_code, report.verdict, report.lines, report.findings) == (0, MATCH, [], [])


@pytest.mark.parametrize(
    ("new", "code", "lines"),
    [
        ([a("www")], "missing", ["- mail.example.com. 300 IN A 192.0.2.1"]),
        ([a("www"), a("mail"), a("x")], "extra", ["+ x.example.com. 300 IN A 192.0.2.1"]),
        (
            [a("www"), a("mail", ttl=60)],
            "ttl-drift",
            ["; TTL alone", "- mail.example.com. 300 IN A 192.0.2.1", "+ mail.example.com. 60 IN A 192.0.2.1"],
        ),
    ],
)
def test_each_difference_is_named_and_stops_the_cut_over(new: list[bytes], code: str, lines: list[str]):
    report = judge(side([a("www"), a("mail")]), side(new, serial=8))
    assert report.exit_code == 1
    assert MATCH not in report.verdict
    assert code in [finding.code for finding in report.findings]
    assert report.lines == lines


def test_another_serial_alone_is_told_and_stops_nothing():
    report = judge(side([a("www")], serial=7), side([a("www")], serial=6))
    assert (report.exit_code, [finding.code for finding in report.findings]) == (0, ["serial-differs"])
    assert "behind" in report.findings[0].text


def test_the_same_serial_with_other_contents_is_a_finding_of_its_own():
    report = judge(side([a("www")]), side([a("mail")]))
    assert "same-serial-differs" in [finding.code for finding in report.findings]


def test_an_soa_that_differs_beside_its_serial_is_a_difference():
    assert judge(side([]), side([], minimum=60)).exit_code == 1
    assert judge(side([]), side([], ttl=60)).exit_code == 1


def test_a_record_that_is_sent_twice_is_told_and_no_difference():
    report = judge(side([a("www"), a("www")]), side([a("www")]))
    assert (report.exit_code, report.lines) == (0, ["; twice in old: www.example.com. 300 IN A 192.0.2.1"])


@pytest.mark.parametrize(("ignore", "code"), [(False, 1), (True, 0)])
def test_what_signers_make_is_left_out_where_that_is_wanted(ignore: bool, code: int):
    signature = a("www", bytes(40), rdtype=codes.RRSIG)
    assert judge(side([a("www"), signature]), side([a("www")]), ignore_dnssec=ignore).exit_code == code


def test_a_delegations_ds_is_compared_even_then():
    ds = a("sub", b"\0\1\x0d\2" + bytes(32), rdtype=codes.DS)
    assert judge(side([ds]), side([]), ignore_dnssec=True).exit_code == 1


def test_a_side_that_was_only_asked_is_no_proof_unless_that_is_accepted():
    def partial(silent: int = 0) -> Side:
        found = side([a("www")])
        found.coverage = Coverage(4, silent, "refused: REFUSED")
        return found

    report = judge(side([a("www")]), partial())
    assert (report.exit_code, [finding.code for finding in report.findings]) == (1, ["incomplete"])
    assert "100 % were answered" in report.findings[0].text
    accepted = judge(side([a("www")]), partial(), accept_partial=True)
    assert accepted.exit_code == 0
    assert accepted.verdict.startswith("NO DIFFERENCE in 4 of 4 RRsets of a list of names, accepted as partial")
    assert judge(side([a("www")]), partial(1), accept_partial=True).exit_code == 1


def test_one_record_of_many_that_was_not_compared_is_not_rounded_away():
    found = Coverage(5000, 1, "refused", of=5000, left_out={"records below delegations": 1})
    assert (found.share, found.answered) == ("99.9 % of 5000 records", "99.9 %")


def test_what_no_question_shows_is_counted_out_of_the_share_that_was_compared():
    found = side([a("www")])
    found.coverage = Coverage(3, 0, "refused: REFUSED", of=10, left_out={"records below delegations": 4})
    report = judge(side([a("www")]), found, accept_partial=True)
    assert report.exit_code == 0
    assert report.verdict == "NO DIFFERENCE in 60.0 % of 10 records, accepted as partial: the rest was not compared"
    assert "not 4 records below delegations" in report.findings[0].text
    assert report.facts["new"]["not_compared"] == {"records below delegations": 4}
    strict = judge(side([a("www")]), found)
    assert strict.exit_code == 1
    assert strict.verdict.startswith("PARITY IS NOT PROVEN")
    assert "60.0 %" in strict.verdict


@pytest.mark.parametrize(
    ("serial", "minimum", "code", "verdict"),
    [
        (7, 300, 0, MATCH),
        (6, 300, 0, MATCH),
        (7, 60, 1, "ZONES DIFFER in the SOA (minimum): do not proceed"),
        (6, 60, 1, "ZONES DIFFER in the SOA (minimum): do not proceed"),
    ],
)
def test_the_serial_alone_is_no_difference_and_the_rest_of_the_soa_is_one(
    serial: int, minimum: int, code: int, verdict: str
):
    report = judge(side([a("www")]), side([a("www")], serial=serial, minimum=minimum))
    assert (report.exit_code, report.verdict) == (code, verdict)
    codes = {finding.code for finding in report.findings}
    assert ("serial-differs" in codes, "same-serial-differs" in codes) == (serial != 7, serial == 7 and code == 1)
    soa = "example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. {} 3600 900 1209600 {}"
    lines = ["; SOA", f"- {soa.format(7, 300)}", f"+ {soa.format(serial, minimum)}"]
    assert report.lines == (lines if code else [])


def test_records_and_the_soa_that_differ_are_both_in_the_last_line():
    report = judge(side([a("www")]), side([a("mail")], ttl=60))
    assert report.verdict == "ZONES DIFFER in 2 records and the SOA (TTL): do not proceed"


def test_a_record_reads_as_a_line_of_a_zone_file():
    assert record_text(a("www", ttl=60), ZONE) == "www.example.com. 60 IN A 192.0.2.1"
    assert isinstance(side([]).stream.soa, Soa)
