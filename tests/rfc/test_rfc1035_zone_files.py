"""RFC 1035 §5: zone files, as far as it is not dnspython's part: $INCLUDE, and the oldest types of records."""

import errno
from collections.abc import Mapping

import pytest
from support.served_zones import wire

from nameserver.errors import ZoneFileError
from nameserver.zone.zone_text import zone_file_lines
from nameserver.zone.zonefile import read_zone_file

ORIGIN = "example.com."
HEAD = "$TTL 300\n@ SOA ns.example.net. h 1 2 3 4 5\n@ NS ns.example.net.\n"


def read(text: str, files: Mapping[str, str] | None = None) -> list[str]:
    """The records behind the first two; `files` are those that can be included."""

    def include(name: str, where: str) -> tuple[str, str]:
        assert where == "zone" or where in (files or {})
        if name not in (files or {}):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return name, (files or {})[name]

    built = read_zone_file(HEAD + text, wire(ORIGIN), "zone", None if files is None else include)
    lines = zone_file_lines(built.nodes, wire(ORIGIN))
    return [line for line in lines if line.split()[3] not in ("SOA", "NS")]


def problems(text: str, files: Mapping[str, str]) -> list[str]:
    with pytest.raises(ZoneFileError) as caught:
        read(text, files)
    return caught.value.problems


def test_section_5_1_an_included_file_stands_where_its_name_is() -> None:
    files = {"more": "b A 192.0.2.2\n  A 192.0.2.3\n"}
    assert read("a A 192.0.2.1\n$INCLUDE more ; with a comment\nc A 192.0.2.4\n", files) == [
        "a.example.com. 300 IN A 192.0.2.1",
        "b.example.com. 300 IN A 192.0.2.2",
        "b.example.com. 300 IN A 192.0.2.3",
        "c.example.com. 300 IN A 192.0.2.4",
    ]


def test_section_5_1_its_origin_is_its_own_and_that_of_what_follows_stays() -> None:
    files = {"more": "b A 192.0.2.2\n$ORIGIN deep\nc A 192.0.2.3\n"}
    expected = ["b.sub.example.com.", "c.deep.sub.example.com.", "d.example.com."]
    for directive in ("$INCLUDE more sub", '$include "more" sub.example.com.'):
        assert sorted(line.split()[0] for line in read(f"{directive}\nd A 192.0.2.4\n", files)) == expected


def test_section_5_1_the_owner_left_out_behind_it_is_the_one_before_it() -> None:
    lines = read("a A 192.0.2.1\n$INCLUDE more sub\n  A 192.0.2.3\n", {"more": "b A 192.0.2.2\n"})
    assert [line.split()[0] for line in lines] == ["a.example.com.", "a.example.com.", "b.sub.example.com."]


def test_what_is_wrong_in_an_included_file_is_told_by_its_name_and_line() -> None:
    files = {"more": "\nb A 192.0.2\n", "whole": "x CNAME y\nx A 192.0.2.1\n"}
    assert [line.split(": ")[0] for line in problems("$INCLUDE more\nc A 1\n", files)] == ["more:2", "zone:5"]
    assert problems("$INCLUDE whole\n", files)[0].startswith("whole:1: ")


def test_what_cannot_be_included_is_a_problem_of_the_line_that_names_it() -> None:
    assert problems("$INCLUDE nowhere\n", {}) == ["zone:4: nowhere cannot be included: No such file or directory"]
    assert problems("$INCLUDE\n", {})[0].startswith("zone:4: ")
    assert problems("$INCLUDE more sub over\n", {"more": ""})[0].startswith("zone:4: ")
    assert problems("$INCLUDE more\n", {"more": "$INCLUDE more\n"}) == ["more:1: more includes itself"]
    chain = {f"f{number}": f"$INCLUDE f{number + 1}\n" for number in range(20)}
    assert problems("$INCLUDE f0\n", chain) == ["f8:1: more than 10 files are nested"]


@pytest.mark.parametrize("rdtype", ["MB", "MG", "MR"])
def test_section_3_3_types_that_hold_a_name_are_read_and_written(rdtype: str) -> None:
    assert read(f"a {rdtype} b\n") == [f"a.example.com. 300 IN {rdtype} b.example.com."]


def test_section_3_3_7_minfo_is_read_and_written() -> None:
    assert read("a MINFO b c.\n") == ["a.example.com. 300 IN MINFO b.example.com. c."]


def test_section_2_3_3_octets_beyond_ascii_stand_for_themselves_as_nsd_and_bind_have_it() -> None:
    expected = [r"\195\188.example.com. 300 IN A 192.0.2.1", r'x.example.com. 300 IN TXT "\195\188"']
    assert read('ü A 192.0.2.1\nx TXT "ü"\n') == sorted(expected, reverse=True)


def test_section_5_1_octets_that_are_no_utf_8_too_unless_they_are_escaped_twice() -> None:
    text = b'\xfc A 192.0.2.1\n\\\xfd A 192.0.2.2\nx TXT "\\\\\xfe" ; \xff\n'.decode("utf-8", "surrogateescape")
    assert sorted(read(text)) == [
        r"\252.example.com. 300 IN A 192.0.2.1",
        r"\253.example.com. 300 IN A 192.0.2.2",
        r'x.example.com. 300 IN TXT "\\\254"',
    ]
