"""The canonical zone file taken apart into RRsets, and as JSON."""

import json

from support.zones import zone_text

from nameserver.wire import names
from nameserver.zone.rrset_lines import RRsetText, json_lines, rrsets_of
from nameserver.zone.zone_text import zone_file_lines
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"


def lines_of(text: str) -> list[str]:
    built = read_zone_file(text, names.from_text(ZONE), "z")
    return [*zone_file_lines(built.nodes, built.apex_as_received)]


def test_the_json_is_one_document_with_an_rrset_to_a_line_that_gives_the_zone_file_again() -> None:
    lines = lines_of(zone_text(ZONE, 7, extra='a\\.b\\"c IN TXT "q\\"uo\\\\te" "\\255"\n'))
    text = "".join(json_lines(lines, ZONE, 7))
    document = json.loads(text)
    assert {name: document[name] for name in ("format", "zone", "serial", "records")} == {
        "format": 1, "zone": ZONE, "serial": 7, "records": len(lines),
    }  # fmt: skip
    assert [
        f"{each['owner']} {each['ttl']} {each['class']} {each['type']} {rdata}"
        for each in document["rrsets"]
        for rdata in each["rdata"]
    ] == lines
    rows = text.splitlines()
    assert len(rows) == len(document["rrsets"]) + 2
    assert [json.loads(row.rstrip(",")) for row in rows[1:-1]] == document["rrsets"]
    assert text.isascii() and text.endswith("\n")


def test_a_changed_record_is_one_changed_line_beside_the_serial_and_the_soa() -> None:
    def rows(serial: int, address: str) -> set[str]:
        lines = lines_of(zone_text(ZONE, serial, extra=f"new IN A {address}\n"))
        return set("".join(json_lines(lines, ZONE, serial)).splitlines())

    differ = rows(7, "192.0.2.1") ^ rows(8, "192.0.2.2")
    assert len(differ) == 8  # of both: the first line, the SOA, the text with the serial, the record


def test_rrsigs_are_told_apart_by_the_type_that_they_cover() -> None:
    soa = "example.com. 1 IN RRSIG SOA 13 2 1 20300101000000 20200101000000 1 example.com. AAAA"
    lines = [soa, soa.replace(" SOA ", " NS "), soa.replace(" SOA ", " NS ").replace("AAAA", "BBBB")]
    assert [len(each.rdata) for each in rrsets_of(f"{line}\n" for line in lines)] == [1, 2]


def test_another_ttl_is_another_rrset() -> None:
    lines = ["a. 1 IN A 192.0.2.1", "a. 2 IN A 192.0.2.2"]
    assert [*rrsets_of(lines)] == [RRsetText("a.", 1, "A", ["192.0.2.1"]), RRsetText("a.", 2, "A", ["192.0.2.2"])]
    assert [*rrsets_of([])] == []
