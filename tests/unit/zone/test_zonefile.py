"""Zone files: read without merging or dropping in silence, written so that they read back the same."""

import tracemalloc

import pytest
from support.transfer_messages import APEX, NS, build, rr, soa
from support.zones import zone_text

from nameserver.errors import ZoneFileError
from nameserver.wire import codes
from nameserver.zone.node import HAS_CASE
from nameserver.zone.rdata_to_text import rdata_text
from nameserver.zone.zone_text import write_zone_file
from nameserver.zone.zonefile import read_zone_file

HEAD = "$TTL 300\n@ IN SOA ns1 host 7 3600 600 86400 300\n@ IN NS ns1\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ZoneFileError) as caught:
        read_zone_file(text, APEX, "f.zone")
    return caught.value.problems


def test_a_zone_file_is_read():
    built = read_zone_file(zone_text("example.com", 7), APEX, "f.zone")
    assert (built.soa.serial, built.records, built.warnings) == (7, 35, [])
    assert b"\1*\4wild" in built.nodes and b"\6host-1" in built.nodes


def test_it_reads_back_the_same_when_written():
    built = read_zone_file(zone_text("Example.com", 7), APEX, "f.zone")
    assert built.apex_as_received == b"\7Example\3com\0"
    written = write_zone_file(built.nodes, built.apex_as_received)
    assert written.startswith("Example.com. 3600 IN SOA ns1.Example.com. ")
    assert read_zone_file(written, APEX, "f.zone").nodes == built.nodes


def test_parentheses_comments_and_line_ends_are_understood():
    text = (
        "$TTL 1h ; one ( hour\r\n@ IN SOA ns1 host ( 7 ; serial (\r\n 3600 600\n\n 86400 300 )\r\n\tNS ns1\n"
        'x TXT "( ; not a comment" \\( ; )\n   \n\n; all of it\ny A 192.0.2.1'
    )
    built = read_zone_file(text, APEX, "f.zone")
    assert built.soa.expire == 86400
    written = write_zone_file(built.nodes, APEX)
    assert 'x.example.com. 3600 IN TXT "( ; not a comment" "("\n' in written
    assert "y.example.com. 3600 IN A 192.0.2.1\n" in written


def test_origin_and_generate_are_understood():
    built = read_zone_file(HEAD + "$ORIGIN sub\n$GENERATE 1-3 h$ A 192.0.2.$\n@ A 192.0.2.9\n", APEX, "f.zone")
    assert {b"\2h1\3sub", b"\2h2\3sub", b"\2h3\3sub", b"\3sub"} < set(built.nodes)


def test_duplicates_mixed_ttls_and_foreign_owners_are_counted():
    built = read_zone_file(
        HEAD + "a 60 A 192.0.2.1\na 90 A 192.0.2.1\na A 192.0.2.2\nx.example.org. A 192.0.2.1\n", APEX, "f.zone"
    )
    assert (built.duplicates, built.mixed_ttl, built.out_of_zone) == (1, 1, 1)
    assert "a.example.com. 60 IN A 192.0.2.2\n" in write_zone_file(built.nodes, APEX)


def test_the_case_of_owners_is_kept():
    built = read_zone_file(HEAD + "WwW A 192.0.2.1\n", APEX, "f.zone")
    assert built.nodes[b"\3www"][0] & HAS_CASE


def test_every_problem_is_reported_with_the_line_where_its_record_begins():
    text = HEAD + 'www A 1.2.3\nx TXT "a\ny (\n A\n 192.0.2.1 extra )\nok A 192.0.2.1\n$INCLUDE other\n$FOO\nz\n'
    found = problems(text)
    assert [line.split(": ")[0] for line in found] == [f"f.zone:{n}" for n in (4, 5, 6, 10, 11, 12)]
    assert "$INCLUDE is not supported here: put the records into this file" in found[3]
    assert all(line.split(": ", 1)[1] for line in found)


def test_what_is_no_zone_file_gets_a_hundred_problems_at_most():
    assert len(problems("no zone file\n" * 1000)) == 100


def test_parentheses_that_stay_open_are_reported_where_they_open():
    assert problems(HEAD + "x A (\n192.0.2.1\n")[0].startswith("f.zone:4: ")


def test_rules_of_the_whole_are_reported_at_the_owner():
    assert problems(HEAD + "\nx CNAME a\nx A 192.0.2.1\n") == [
        "f.zone:5: x.example.com has a CNAME beside A (RFC 2181 §10.1)"
    ]
    assert problems(HEAD.replace("@ IN NS", "x IN NS")) == ["f.zone:2: example.com has no NS record at its apex"]
    assert problems("") == ["f.zone:1: example.com has no SOA record"]
    assert problems(HEAD + "\nx IN SOA ns1 host 7 3600 600 86400 300") == [
        "f.zone:5: x.example.com has an SOA record but is not the apex"
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x CH A 192.0.2.1", "class"),
        ("x TYPE128 \\# 0", "never in a zone"),
        ("$GENERATE 1-11 h$ A 192.0.2.1", "more than 10 records"),
        ("x..y A 192.0.2.1", "empty"),
        ("$TTL never", "TTL"),
    ],
)
def test_what_cannot_be_in_a_zone_is_refused(line, problem, monkeypatch):
    monkeypatch.setattr("nameserver.zone.odd_entries.MAX_GENERATED", 10)
    (found,) = problems(HEAD + line)
    assert found.startswith("f.zone:4: ") and problem in found


def test_names_are_relative_to_the_zone_without_an_origin():
    built = read_zone_file("$TTL 1\n@ SOA a b 1 2 3 4 5\n NS ns.example.net.\n NS ns\n", APEX, "f.zone")
    assert "example.com. 1 IN NS ns.example.com.\n" in write_zone_file(built.nodes, APEX)


def test_rdata_without_a_faithful_text_is_written_in_generic_form():
    """RFC 3597 §5."""
    odd_bitmap = b"\0\0\2\x40\0"  # a trailing zero byte, which is not the canonical form
    assert rdata_text(codes.NSEC, odd_bitmap) == r"\# 5 0000024000"
    assert rdata_text(65280, b"") == r"\# 0"
    assert rdata_text(codes.TXT, b"\1\xff") == r'"\255"'


def test_odd_names_are_written_so_that_they_read_back():
    odd = rr("x 1 A 192.0.2.1")._replace(owner=b'\x0a$a.b @"\\\0\xff' + APEX)
    built = build(soa(1), NS, odd)
    assert read_zone_file(write_zone_file(built.nodes, APEX), APEX, "f.zone").nodes == built.nodes


def test_a_file_is_read_a_line_at_a_time_and_twice_only_where_a_rule_of_the_whole_is_broken(tmp_path):
    path = tmp_path / "f.zone"
    opened = []

    def content():
        opened.append(path.open("rb"))
        return opened[-1]

    path.write_text(HEAD + "".join(f"h{number} A 192.0.2.1\n" for number in range(20_000)))
    size = path.stat().st_size
    tracemalloc.start()
    built = read_zone_file(content, APEX, "f.zone")
    kept = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert built.records == 20_002 and len(opened) == 1
    assert kept[1] - kept[0] < size  # what came and went beside the zone itself
    path.write_text(HEAD + "a A 192.0.2.1\n\nb A 192.0.2.1\nc A 192.0.2.1\nb CNAME a\n")
    with pytest.raises(ZoneFileError) as caught:
        read_zone_file(content, APEX, "f.zone")
    assert caught.value.problems == ["f.zone:6: b.example.com has a CNAME beside A (RFC 2181 §10.1)"]
    assert len(opened) == 3 and all(file.closed for file in opened)


@pytest.mark.parametrize("port", ["65536", "99999999", "9" * 30])
def test_a_list_of_services_with_an_impossible_one_is_refused_without_making_room_for_it(port):
    """C64 (CVE-2026-128089 of dnspython): a bitmap as long as the number is large."""
    tracemalloc.start()
    (problem,) = problems(f"{HEAD}@ WKS 192.0.2.1 6 {port}\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problem.startswith("f.zone:4: ")
    assert peak < 1 << 20
