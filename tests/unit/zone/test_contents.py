"""nameserver.zone.contents"""

import gc
import struct

import pytest
from support.served_zones import HEAD, key_of, nodes_from_text, wire, zone_from_text
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.errors import Reason, ZoneError
from nameserver.zone.contents import Zone, ZoneLoader

TEXT = f"""{HEAD}
www A 192.0.2.10
a.b.c TXT deep
b.c.d TXT other
"""


def node_of(line: str) -> bytes:
    """The packed node of the one owner named `x` in `line`."""
    return nodes_from_text(f"{HEAD}\n{line}", "example.")[1][b"\x01x"]


def test_a_zone_knows_its_names_serial_and_soa():
    zone = zone_from_text(TEXT, "Example.", generation=7)
    assert zone.apex == wire("example.")
    assert zone.apex_as_received == wire("Example.")
    assert zone.serial == 2026010101
    assert zone.generation == 7
    assert zone.soa.owner == wire("Example.")
    assert zone.soa.ttl == 3600


@pytest.mark.parametrize(("ttl", "expected"), [(3600, 300), (300, 300), (60, 60), (0, 0)])
def test_negative_answers_take_the_lower_of_soa_ttl_and_minimum(ttl, expected):
    zone = zone_from_text(HEAD.replace("@ 3600 IN SOA", f"@ {ttl} IN SOA"), "example.")
    assert zone.negative_soa.ttl == expected
    assert list(zone.negative_soa.rdatas()) == list(zone.soa.rdatas())


def test_names_exist_with_records_or_with_names_below_them():
    zone = zone_from_text(TEXT, "example.")
    for name in ("example.", "www.example.", "a.b.c.example.", "b.c.example.", "c.example.", "d.example."):
        assert zone.exists(key_of(name, "example.")), name
    for name in ("x.example.", "a.www.example.", "b.example.", "a.c.example."):
        assert not zone.exists(key_of(name, "example.")), name


def test_descendants_count_the_names_directly_below():
    zone = zone_from_text(TEXT, "example.")
    assert zone.descendants == {b"": 4, b"\x01c": 1, b"\x01b\x01c": 1, b"\x01d": 1, b"\x01c\x01d": 1}


def test_slices_in_any_order_load_to_the_same_zone():
    apex, nodes = nodes_from_text(TEXT, "example.")
    whole = Zone.from_nodes(apex, nodes, 1)
    loader = ZoneLoader(apex, 1)
    for item in reversed(nodes.items()):
        loader.add([item])
    sliced = loader.finish()
    assert (sliced.nodes, sliced.descendants) == (whole.nodes, whole.descendants)


def test_a_removed_name_with_names_below_stays_as_an_empty_non_terminal():
    zone = zone_from_text(f"{TEXT}\nc TXT parent", "example.")
    zone.apply({b"\x01c": None}, 2)
    assert b"\x01c" not in zone.nodes
    assert zone.exists(b"\x01c")


def test_the_last_name_below_takes_its_empty_ancestors_along():
    zone = zone_from_text(TEXT, "example.")
    zone.apply({key_of("a.b.c.example.", "example."): None}, 2)
    assert not zone.exists(b"\x01b\x01c")
    assert not zone.exists(b"\x01c")
    assert zone.exists(b"\x01d")


def test_an_ancestor_with_records_stays_when_its_last_child_goes():
    zone = zone_from_text(f"{TEXT}\nc TXT parent", "example.")
    zone.apply({key_of("a.b.c.example.", "example."): None}, 2)
    assert zone.exists(b"\x01c")
    assert b"\x01c" not in zone.descendants


def test_applying_replaces_adds_and_sets_the_generation():
    zone = zone_from_text(TEXT, "example.")
    new = node_of("x A 192.0.2.99")
    zone.apply({b"\x01y\x01z": new, b"\x03www": new}, 9)
    assert zone.nodes[b"\x03www"] == new
    assert zone.exists(b"\x01z")
    assert zone.generation == 9
    assert zone.serial == 2026010101


def test_a_new_apex_brings_a_new_serial_and_soa():
    zone = zone_from_text(TEXT, "example.")
    newer = zone_from_text(TEXT.replace("2026010101", "2026010102").replace(" 300\n", " 30\n"), "example.")
    zone.apply({b"": newer.nodes[b""]}, 2)
    assert zone.serial == 2026010102
    assert zone.negative_soa.ttl == 30


@pytest.mark.parametrize("apex", [None, node_of("x A 192.0.2.99")])
def test_a_change_that_takes_the_soa_away_is_refused_and_changes_nothing(apex):
    zone = zone_from_text(TEXT, "example.")
    before = dict(zone.nodes), dict(zone.descendants)
    with pytest.raises(ZoneError) as caught:
        zone.apply({b"\x03www": None, b"": apex}, 2)
    assert caught.value.reason is Reason.NO_SOA
    assert (zone.nodes, zone.descendants) == before
    assert (zone.serial, zone.generation) == (2026010101, 1)


def test_taking_away_what_is_not_there_changes_nothing():
    zone = zone_from_text(TEXT, "example.")
    before = dict(zone.nodes), dict(zone.descendants)
    zone.apply({b"\x04none": None, b"\x01c": None}, 2)
    assert (zone.nodes, zone.descendants) == before


def test_a_zone_without_an_apex_cannot_be_made():
    with pytest.raises(ZoneError, match="no records at its apex"):
        Zone.from_nodes(wire("example."), {b"\x03www": node_of("x A 192.0.2.1")}, 1)


# --- signed zones -------------------------------------------------------------------------------------------------


SIGNED_APEX, SIGNED = signed_nodes(f"{HEAD}\nwww A 192.0.2.10\na.b TXT x", "example.", Nsec(), Nsec3())


def denying(zone: Zone) -> tuple:
    """What the zone proves a few things with."""
    assert zone.denial is not None and zone.denial.active is not None
    proofs = zone.denial.active
    return proofs.rdtype, proofs.nxdomain(b"\x02zz", b""), proofs.nodata(b"\x01b", False), proofs.nodata(b"", True)


def test_an_unsigned_zone_has_no_indexes():
    assert zone_from_text(TEXT, "example.").denial is None


def test_a_signed_zone_is_the_same_in_whatever_order_its_nodes_come():
    expected = denying(Zone.from_nodes(SIGNED_APEX, SIGNED, 1))
    items = list(SIGNED.items())
    for order in (sorted(items), sorted(items, reverse=True)):
        for size in (1, 3, 100):
            loader = ZoneLoader(SIGNED_APEX, 1)
            for start in range(0, len(order), size):
                loader.add(order[start : start + size])
            assert denying(loader.finish()) == expected


def test_a_node_given_twice_counts_with_its_last_in_the_indexes_too():
    bare = nodes_from_text(f"{HEAD}\nwww A 192.0.2.10", "example.")[1]
    loader = ZoneLoader(SIGNED_APEX, 1)
    loader.add(SIGNED.items())
    loader.add([(b"\x03www", bare[b"\x03www"])])
    loader.add([(b"\x03www", SIGNED[b"\x03www"])])
    assert denying(loader.finish()) == denying(Zone.from_nodes(SIGNED_APEX, SIGNED, 1))
    loader = ZoneLoader(SIGNED_APEX, 1)
    loader.add(SIGNED.items())
    loader.add([(b"", bare[b""])])
    assert loader.finish().denial is None


def test_a_zone_becomes_signed_with_the_first_signature_at_its_apex_and_unsigned_with_the_last():
    text = f"{HEAD}\nwww A 192.0.2.10\na.b TXT x"
    zone = zone_from_text(text, "example.")
    www = {b"\x03www": SIGNED[b"\x03www"]}
    assert not zone.becomes_signed(www)
    assert not zone.apply(www, 2)
    assert zone.denial is None
    assert zone.becomes_signed(SIGNED)
    assert zone.apply(SIGNED, 3), "answers change also where nothing was changed"
    assert not zone.becomes_signed(SIGNED)
    assert denying(zone) == denying(Zone.from_nodes(SIGNED_APEX, SIGNED, 3))
    assert not zone.apply(www, 4)
    assert zone.apply({b"": nodes_from_text(text, "example.")[1][b""]}, 5)
    assert zone.denial is None


@pytest.mark.parametrize("signed", [False, True])
def test_a_large_zone_is_few_objects_to_the_garbage_collector(signed):
    """F79: owners and records are octets, which it does not look at, however many they are."""

    def looked_at(owners: int) -> int:
        kind, size = (b"\x2f", 5) if signed else (b"\x01", 4)
        node = (
            b"\0" + struct.pack("!IH", 10 + size, 1) + b"\0" + kind + b"\0\1\0\0\0\x3c\0" + bytes((size,)) + bytes(size)
        )
        loader = ZoneLoader(SIGNED_APEX if signed else wire("example."), 1)
        loader.add((SIGNED if signed else nodes_from_text(TEXT, "example.")[1]).items())
        gc.collect()
        before = len(gc.get_objects())
        loader.add((b"\x09h%08d" % number, node) for number in range(owners))
        zone = loader.finish()
        gc.collect()
        assert len(zone.nodes) >= owners and (zone.denial is not None) is signed
        return len(gc.get_objects()) - before

    few, many = looked_at(100), looked_at(20_000)
    assert many < few + (20_000 // 50 if signed else 20), "in order they are kept in blocks, each one object"


@pytest.mark.parametrize("denial", [Nsec, Nsec3])
def test_a_signed_zone_that_is_dismantled_leaves_nothing_of_its_order(denial):
    apex, nodes = signed_nodes(TEXT, "example.", denial())
    zone = Zone.from_nodes(apex, nodes, 1)
    assert zone.denial is not None
    for _ in zone.dismantled():
        pass
    assert not zone.nodes and not zone.descendants
    assert not any(map(len, (zone.denial._nsec, *zone.denial._chains.values())))
