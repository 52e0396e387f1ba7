"""What an inventory finds in a zone's records."""

import pytest

from nameserver.migrate.asking.zone_stream import ZoneStream, make_record
from nameserver.migrate.checks import snapshot
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.checks.inventory import judge
from nameserver.wire import codes, names
from nameserver.zone.soa import parse_soa
from nameserver.zone.sorted_places import canonical_place

ZONE = b"\x07example\x03com\x00"
RDATA = names.from_text("ns1.example.com.") * 2 + b"".join(n.to_bytes(4, "big") for n in (7, 3600, 900, 1209600, 300))
TARGET = names.from_text("www.example.com.")


def stream(*lines: tuple[str, int]) -> ZoneStream:
    """Of (owner below the apex, type); what is no alias holds an address."""
    records = []
    for owner, rdtype in lines:
        key = names.from_text(f"{owner}.")[:-1] if owner else b""
        rdata = TARGET if rdtype == codes.CNAME else b"\xc0\0\2\1"
        records.append(make_record(canonical_place(key), rdtype, rdata, 300))
    return ZoneStream(ZONE, parse_soa(RDATA), RDATA, 300, sorted(records))


def found(zone: ZoneStream) -> dict[str, list[str]]:
    report = judge(zone, take_stock(zone), "192.0.2.1:53", "20261121")
    codes_of: dict[str, list[str]] = {}
    for finding in report.findings:
        codes_of.setdefault(finding.code, []).append(finding.text)
    return codes_of


def test_a_wildcard_is_told_with_the_names_that_it_leaves_out():
    zone = stream(("*.apps", codes.A), ("*.apps", 16), ("one.apps", codes.A), ("b.two.apps", codes.A))
    report = judge(zone, take_stock(zone), "192.0.2.1:53", "20261121")
    [table] = [table for table in report.tables if table.title == "Wildcards"]
    assert table.rows == (("*.apps.example.com.", "A TXT", "one.apps.example.com. two.apps.example.com."),)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((("www", codes.CNAME), ("www", codes.A)), ["www.example.com. has a CNAME"]),
        ((("", codes.CNAME), ("", codes.A)), ["example.com. has a CNAME"]),
        ((("www", codes.CNAME), ("mail", codes.A)), []),
    ],
)
def test_an_alias_with_other_records_beside_it_is_told(lines: tuple[tuple[str, int], ...], named: list[str]):
    assert [text.partition(" and ")[0] for text in found(stream(*lines)).get("cname-conflict", [])] == named


@pytest.mark.parametrize(
    ("rdtype", "code", "name"),
    [(65401, "provider-type", "ALIAS (TYPE65401)"), (65402, "provider-type", "LUA (TYPE65402)"), (65534, "", "")],
)
def test_types_of_providers_have_their_names_and_notes_of_bind_are_none(rdtype: int, code: str, name: str):
    told = found(stream(("flat", rdtype)))
    assert ("provider-type" in told) == bool(code)
    assert not code or name in told[code][0]


def test_rdata_that_is_none_of_its_type_is_told_and_ends_nothing():
    assert found(stream(("www", codes.AAAA)))["malformed"] == ["www.example.com. AAAA is not what its type demands"]


def test_a_snapshot_of_a_server_that_sends_a_record_twice_is_the_same_file():
    once, twice = stream(("www", codes.A)), stream(("www", codes.A), ("www", codes.A))
    taken = [snapshot.take(zone, take_stock(zone), "192.0.2.1", 0.0) for zone in map(snapshot.each_once, (once, twice))]
    assert taken[0] == taken[1]
    assert len(taken[1][1]) == 2
