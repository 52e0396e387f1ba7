"""nameserver.query.zoneset"""

import pytest
from support.served_zones import wire

from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.wire import codes


def zones_of(*names: str) -> ZoneSet:
    zones = ZoneSet()
    for name in names:
        zones.add(ServedZone(wire(name), name))
    return zones


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.test.", "example.test."),
        ("www.example.test.", "example.test."),
        ("child.example.test.", "child.example.test."),
        ("a.b.child.example.test.", "child.example.test."),
        ("xchild.example.test.", "example.test."),
        (r"child\.example.test.", None),
        ("test.", None),
        (".", None),
    ],
)
def test_the_longest_match_by_labels_is_found(name, expected):
    found = zones_of("example.test.", "child.example.test.").find(wire(name))
    assert (found and found.text) == expected


def test_the_root_zone_is_above_everything():
    zones = zones_of(".", "example.test.")
    for name in (".", "test.", "a.b.c."):
        assert zones.find(wire(name)).text == "."


def test_exact_finds_no_zone_above():
    zones = zones_of("example.test.")
    assert zones.exact(wire("example.test.")) is not None
    assert zones.exact(wire("www.example.test.")) is None


def test_zones_are_added_replaced_removed_and_counted():
    zones = zones_of("a.test.", "b.test.")
    replacement = ServedZone(wire("a.test."), "a.test.", state=ZoneState.EXPIRED)
    zones.add(replacement)
    assert len(zones) == 2
    assert zones.exact(wire("a.test.")) is replacement
    zones.remove(wire("a.test."))
    assert [zone.text for zone in zones] == ["b.test."]
    with pytest.raises(KeyError):
        zones.remove(wire("a.test."))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("child.example.test.", "example.test."),
        ("www.child.example.test.", "child.example.test."),
        ("example.test.", "example.test."),
        ("test.", None),
    ],
)
def test_ds_is_asked_of_the_zone_above_the_cut(name, expected):
    found = zones_of("example.test.", "child.example.test.").find_for(wire(name), codes.DS)
    assert (found and found.text) == expected


def test_ds_of_the_root_has_no_zone_above_to_ask():
    assert zones_of(".").find_for(b"\0", codes.DS).text == "."


def test_other_types_at_an_apex_are_asked_of_the_zone_itself():
    zones = zones_of("example.test.", "child.example.test.")
    assert zones.find_for(wire("child.example.test."), codes.NS).text == "child.example.test."
