"""A zone in octoDNS's form, read back with octoDNS itself, its checks and its order of keys as they come."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from natsort import natsorted
from octodns.record.exception import ValidationError
from support.octodns_reader import canonical, populated, read
from support.rdata_lines import GOOD

from nameserver.wire import names
from nameserver.zone.octodns import MADE_BY_PROVIDERS, OctodnsForm, natural_key
from nameserver.zone.zone_text import zone_file_lines
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"
HEAD = f"$ORIGIN {ZONE}.\n$TTL 300\n@ 3600 IN SOA ns1 host 7 3600 600 86400 300\n@ 3600 IN NS ns1\n@ 3600 IN NS ns2\n"


def lines_of(text: str) -> list[str]:
    built = read_zone_file(HEAD + text, names.from_text(ZONE), "z")
    return [*zone_file_lines(built.nodes, built.apex_as_received)]


def written(text: str) -> tuple[str, OctodnsForm]:
    form = OctodnsForm(f"{ZONE}.")
    return "---\n" + "".join(text for _, text in sorted(form.owners(lines_of(text)))), form


def held(text: str, types: set[str] | None = None) -> set[tuple[str, int, str, str]]:
    """The records of a zone, as `read` gives them back."""
    rows = (line.split(" ", 4) for line in lines_of(text))
    return {
        (owner.lower(), int(ttl), kind, canonical(kind, rdata))
        for owner, ttl, _, kind, rdata in rows
        if kind not in MADE_BY_PROVIDERS and (types is None or kind in types)
    }


def round_trip(directory: Path, text: str) -> tuple[set[tuple[str, int, str, str]], OctodnsForm]:
    file, form = written(text)
    (directory / f"{ZONE}.yaml").write_text(file, encoding="ascii")
    return read(directory, ZONE), form


EVERYTHING = rf"""
@ IN MX 10 mail
@ IN MX 20 .
@ IN TXT "v=spf1 include:_spf.example.net; -all"
@ IN CAA 0 issue "ca.example; policy=ev"
@ IN CAA 128 iodef "mailto:a\"b@example.com"
WWW 60 IN CNAME host-2.Example.COM.
* IN A 192.0.2.99
*.wild IN AAAA 2001:db8::1
host2 IN A 192.0.2.2
host10 IN A 192.0.2.10
host1 IN A 192.0.2.1
host1 IN A 192.0.2.11
host1 IN A 10.0.0.1
host1 IN AAAA 2001:db8:0:1:2:3:4:5
host1 IN AAAA ::ffff:192.0.2.7
10 IN PTR a.example.org.
10 IN PTR b.example.org.
9 IN PTR c.example.org.
0/25 IN NS ns.example.org.
sub IN NS ns.sub
sub IN DS 12345 8 2 {"ab" * 32}
ns.sub IN A 192.0.2.53
gone IN DNAME other.example.
_sip._tcp IN SRV 10 20 5060 mail
_sip._tcp IN SRV 0 0 0 .
_443._tcp IN TLSA 3 1 1 {"cd" * 32}
_443._tcp IN TLSA 3 1 2 {"1234567890" * 12}12345678
key IN SSHFP 4 2 {"12" * 32}
key IN SSHFP 1 1 {"1" * 39}e
map IN NAPTR 100 10 "u" "E2U+sip" "!^(.*)$!sip:\\1@example.com!" .
map IN NAPTR 100 20 "S" "SIP+D2U" "" _sip._udp
here IN LOC 42 21 54 N 71 06 18 W -24m 30m
here IN LOC 1 0 0.5 S 0 0 59.999 E 42849672.95m 2m 90000000m 1m
svc IN HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 key1000=x key900=y ohttp
svc IN HTTPS 0 other.example.
svc IN SVCB 2 svc.example. mandatory=alpn,port alpn=h2 no-default-alpn port=53 dohpath="/q{{?dns}}" key667="hello"
_http._tcp IN URI 10 1 "https://example.com/a?b=c"
pgp IN OPENPGPKEY {"AAAABBBB" * 60}
xn--bcher-kva IN A 192.0.2.3
yes IN A 192.0.2.4
null IN A 192.0.2.5
0x10 IN A 192.0.2.6
1e3 IN A 192.0.2.7
2026-11-21 IN A 192.0.2.8
~ IN A 192.0.2.9
"""


def test_everything_that_octodns_has_is_read_back_as_it_was(tmp_path: Path) -> None:
    seen, form = round_trip(tmp_path, EVERYTHING)
    assert seen == held(EVERYTHING)
    assert (form.without, form.joined, form.providers) == (Counter(), Counter(), 1)


def test_each_record_is_what_octodns_itself_would_write_of_it_in_the_same_order(tmp_path: Path) -> None:
    mapped = "host1 IN AAAA ::ffff:192.0.2.7\n"  # which each version of Python writes in its own way
    file, _ = written(EVERYTHING.replace(mapped, ""))
    (tmp_path / f"{ZONE}.yaml").write_text(file, encoding="ascii")
    entries = {
        (name, entry["type"]): {key: value for key, value in entry.items() if key not in ("type", "octodns")}
        for name, under in yaml.safe_load(file).items()
        for entry in (under if isinstance(under, list) else [under])
    }
    own = {
        (record.name, record._type): json.loads(json.dumps(record.data)) for record in populated(tmp_path, ZONE).records
    }
    for data in own.values():
        data.pop("octodns", None)
    assert entries == own


def test_keys_are_in_the_order_that_octodns_demands_and_plain_where_they_can_be(tmp_path: Path) -> None:
    file, _ = written(EVERYTHING)
    keys = [*yaml.safe_load(file)]
    assert keys == natsorted(keys) and keys[0] == ""
    assert file.startswith("---\n'':\n- ttl: 300\n  type: CAA\n  values:\n  - flags: 0\n")
    assert "\n'*':\n  ttl: 300\n  type: A\n  value: 192.0.2.99\n" in file
    assert file.index("\nhost2:") < file.index("\nhost10:")
    assert "\nwww:\n  ttl: 60\n  type: CNAME\n  value: host-2.example.com.\n" in file
    assert "value: v=spf1 include:_spf.example.net\\; -all\n" in file


def test_natural_order_is_octodns_s() -> None:
    texts = ["b", "a10", "a2", "a1b", "a1", "a", "10", "2", "1", "", "_a", "a.b10", "a.b2", "a0", "a00", "a00b", "-1"]
    assert sorted(texts, key=natural_key) == natsorted(texts)


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (r'a IN TXT "\"quoted\""', '""quoted""'),
        (r'a IN TXT "\"x"', '""x"'),
        ('a IN TXT ""', ""),
        (r'a IN TXT "back\\slash"', "back\\slash"),
        (r'a IN TXT "a\\;b"', "a\\\\;b"),
        (r'a IN TXT "tab\009 bell\007 line\010"', "tab\t bell\a line\n"),
        ('a IN TXT " spaces "', " spaces "),
        ('a IN TXT "1.0"', "1.0"),
        ('a IN TXT "a: b #c"', "a: b #c"),
        ('a IN TXT "it\'s"', "it's"),
        ('a IN TXT "- x"', "- x"),
        ('a IN TXT "---"', "---"),
    ],
)
def test_a_text_is_read_back_octet_for_octet(tmp_path: Path, record: str, value: str) -> None:
    seen, form = round_trip(tmp_path, record)
    assert seen == held(record) and not form.without
    assert yaml.safe_load(written(record)[0])["a"]["value"] == value


def test_a_long_text_is_one_value_and_cut_again_where_it_was(tmp_path: Path) -> None:
    record = f'a IN TXT "{"x" * 255}" "{"y" * 255}" "z"'
    seen, form = round_trip(tmp_path, record)
    assert seen == held(record) and not form.joined


@pytest.mark.parametrize("strings", ['"a" "b"', f'"{"x" * 200}" "{"y" * 100}"', f'"{"x" * 255}" ""'])
def test_strings_that_octodns_joins_are_counted(tmp_path: Path, strings: str) -> None:
    seen, form = round_trip(tmp_path, f"a IN TXT {strings}")
    assert form.joined == {"TXT": 1} and not form.without
    [text] = [rdata for _, _, kind, rdata in seen if kind == "TXT"]
    assert text.replace('"', "").replace(" ", "") == strings.replace('"', "").replace(" ", "")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (r'a IN TXT "caf\195\169"', "TXT (octets beyond ASCII)"),
        (r'a IN TXT "a\" \"b"', "TXT (quotes in a text that look like the end of a string)"),
        (r'a\.b IN TXT "x"', "TXT (a name that octoDNS does not take)"),
        ("xn--ls8h IN A 192.0.2.1", "A (a name that octoDNS does not take)"),
        ("xn--a IN A 192.0.2.1", "A (a name that octoDNS does not take)"),
        ('a IN URI 1 1 "https://example.com/Path"', "URI (capital letters in a URI, which octoDNS makes small)"),
        (r'a IN HTTPS 1 . alpn="a\\,b"', "HTTPS (a parameter with escapes)"),
        ('a IN HTTPS 1 . key667="a b"', "HTTPS (a parameter with escapes)"),
        ('a IN HINFO "x" "y"', "HINFO"),
        (r"a IN TYPE65400 \# 1 00", "TYPE65400"),
        ("a IN CSYNC 66 3 A NS", "CSYNC"),
    ],
)
def test_what_has_no_form_is_left_out_and_counted_and_the_rest_is_there(tmp_path: Path, record: str, why: str) -> None:
    seen, form = round_trip(tmp_path, f"{record}\nb IN A 192.0.2.2\n")
    assert form.without == {why: 1}
    assert seen == held("b IN A 192.0.2.2\n")


def test_rdata_that_has_no_text_of_its_type_is_left_out() -> None:
    """As of a DS whose digest has not the size that its type says, which a transfer may bring."""
    form = OctodnsForm(f"{ZONE}.")
    assert [*form.owners([r"a.example.com. 300 IN DS \# 5 0001080200"])] == []
    assert form.without == {"DS (rdata in the generic form)": 1}


def test_an_rrset_is_left_out_whole_where_one_of_its_records_has_no_form(tmp_path: Path) -> None:
    seen, form = round_trip(tmp_path, 'a IN TXT "fine"\na IN TXT "\\255"\n')
    assert form.without == {"TXT (octets beyond ASCII)": 2}
    assert seen == held("")


@pytest.mark.parametrize(
    "record",
    [
        "a IN CNAME .",
        "a IN CNAME com.",
        "a IN CNAME *.example.com.",
        r"a IN CNAME a\.b.example.com.",
        "a IN MX 10 -x.example.com.",
        "a IN SRV 1 2 3 mail",
        'a IN URI 1 1 "https://example.com/"',
        f"a IN TLSA 255 255 0 {'ab' * 32}",
        f"a IN SSHFP 6 2 {'ab' * 32}",
        'a IN NAPTR 1 1 "" "" "" .',
    ],
)
def test_what_octodns_finds_odd_and_keeps_is_told_to_it_as_lenient(tmp_path: Path, record: str) -> None:
    seen, form = round_trip(tmp_path, record)
    assert seen == held(record) and not form.without
    strict = written(record)[0].replace("    lenient: true", "    lenient: false")
    (tmp_path / f"{ZONE}.yaml").write_text(strict)
    with pytest.raises(ValidationError):
        read(tmp_path, ZONE)


def test_what_signers_make_and_the_soa_are_the_providers_and_counted(tmp_path: Path) -> None:
    signed = "@ IN DNSKEY 257 3 13 AQNRU3mG\n@ IN NSEC a A\n@ IN CDS 0 0 0 00\na IN CNAME b\na IN NSEC @ CNAME\n"
    seen, form = round_trip(tmp_path, signed)
    assert (seen, form.providers, form.without) == (held(signed), 5, Counter())


def test_of_every_type_there_is_each_record_is_read_back_or_counted(tmp_path: Path) -> None:
    rows = [line.split(" ", 1) for line in dict.fromkeys(GOOD)]
    rows = [(kind, rdata) for kind, rdata in rows if kind != "SOA"]
    text = "".join(f"n{number} IN {kind} {rdata}\n" for number, (kind, rdata) in enumerate(rows))
    seen, form = round_trip(tmp_path, text)
    with_form = {kind for _, _, kind, _ in seen}
    assert {"A", "MX", "NAPTR", "LOC", "SVCB", "HTTPS", "URI", "DS", "TLSA"} <= with_form
    assert len(seen) + form.without.total() + form.providers == len(lines_of(text))
    assert {row[:3] for row in seen} <= {row[:3] for row in held(text)}
    joined = {row for row in seen if row[2] in ("TXT", "SPF")}
    assert seen - joined <= held(text)


def test_a_zone_of_which_octodns_has_nothing_is_an_empty_file(tmp_path: Path) -> None:
    assert [*OctodnsForm("example.com.").owners(["example.com. 1 IN SOA . . 1 1 1 1 1\n"])] == []
