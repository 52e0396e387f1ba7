"""The notify set of RFC 1996 §2.1: who is named, and where they are by the zones that are held."""

from nameserver.transfer.notify_set import MOST_SERVERS, addresses_of, servers_named
from nameserver.wire import codes, names
from nameserver.wire.rrset import RRset
from nameserver.zone.node import pack_node

ZONE = names.from_text("example.com")
TIMERS = b"".join(number.to_bytes(4, "big") for number in (1, 3600, 600, 86400, 300))


def wire(*texts: str) -> list[bytes]:
    return [names.from_text(text) for text in texts]


def soa(mname: str) -> bytes:
    return b"".join(wire(mname, "hostmaster.example.com")) + TIMERS


def apex(*servers: str) -> bytes:
    return pack_node([RRset.of(ZONE, codes.NS, 60, wire(*servers))])


def host(*addresses: bytes) -> bytes:
    a, aaaa = ([each for each in addresses if len(each) == size] for size in (4, 16))
    rrsets = [RRset.of(b"", code, 60, each) for code, each in ((codes.A, a), (codes.AAAA, aaaa)) if each]
    return pack_node(rrsets)


def test_section_2_1_everyone_named_in_ns_but_for_the_mname_whatever_the_case() -> None:
    node = apex("a.example.com", "b.example.net", "P.example.com")
    assert servers_named(node, ZONE, soa("p.EXAMPLE.com")) == wire("a.example.com", "b.example.net")


def test_a_zone_without_ns_names_nobody_and_one_with_thousands_a_few() -> None:
    assert servers_named(pack_node([RRset.of(ZONE, codes.A, 60, [b"\1\2\3\4"])]), ZONE, soa("p")) == []
    assert len(servers_named(apex(*(f"ns{number}" for number in range(1000))), ZONE, soa("p"))) == MOST_SERVERS


def test_the_deepest_zone_with_an_address_is_believed_and_a_parents_glue_where_it_has_none() -> None:
    held = {
        ("sub.example.com", "ns"): host(b"\xc0\0\2\1"),
        ("example.com", "ns.sub"): host(b"\xc0\0\2\2"),
        ("example.com", "other.sub"): host(b"\xc0\0\2\3"),
    }
    nodes = {(names.from_text(zone), names.from_text(key)[:-1]): node for (zone, key), node in held.items()}

    def found(name: str) -> list[str]:
        return [str(each) for each in addresses_of(names.from_text(name), lambda zone, key: nodes.get((zone, key)))]

    assert found("ns.sub.example.com") == ["192.0.2.1"]
    assert found("other.sub.example.com") == ["192.0.2.3"]
    assert found("ns.elsewhere.example") == []


def test_the_root_zones_glue_is_glue_too() -> None:
    def node_at(zone: bytes, key: bytes) -> bytes | None:
        return host(b"\xc0\0\2\1") if (zone, key) == (names.ROOT, names.from_text("a.root-servers.net")[:-1]) else None

    assert [str(each) for each in addresses_of(names.from_text("a.root-servers.net"), node_at)] == ["192.0.2.1"]


def test_both_families_are_found_and_addresses_of_nobody_or_of_many_are_not() -> None:
    v6 = bytes.fromhex("20010db8000000000000000000000001")
    odd = [bytes(4), b"\xff" * 4, b"\xe0\0\0\1", b"\xf0\0\0\1", b"\xa9\xfe\0\1", bytes(16)]
    odd += [bytes.fromhex(each) for each in ("ff02" + "00" * 13 + "01", "fe80" + "00" * 13 + "01")]
    odd += [bytes(10) + b"\xff\xff\1\2\3\4"]
    node = host(b"\xc0\0\2\1", v6, *odd)
    assert [str(each) for each in addresses_of(names.from_text("ns"), lambda *_: node)] == ["192.0.2.1", "2001:db8::1"]
