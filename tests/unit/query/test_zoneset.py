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


def test_what_is_known_of_changed_owners_is_bounded_for_all_zones_together(monkeypatch):
    monkeypatch.setattr("nameserver.query.zoneset.MOST_TOUCHED", 6)
    monkeypatch.setattr("nameserver.query.zoneset.MOST_TOUCHED_IN_ALL", 10)
    zones = zones_of(*(f"{number}.test." for number in range(8)))
    for number in range(100):
        zone = zones.exact(wire(f"{number * 3 % 8}.test."))
        zones.changed(zone, [bytes((1, number % 7)), bytes((1, number % 5 + 7))])
        assert sum(len(each.touched) for each in zones) <= 10
        assert zone.touched or zone.replaced == zone.changed
        if number == 50:
            zones.remove(wire("1.test."))
            zones.add(ServedZone(wire("1.test."), "1.test."))
            zones.add(ServedZone(wire("2.test."), "2.test."))
    for zone in zones:
        zones.changed(zone)
    assert not zones._touched


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
