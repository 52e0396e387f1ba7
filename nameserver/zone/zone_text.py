"""A zone as text: one record to a line, the SOA first, owners in canonical order (RFC 4034 §6.1), all names absolute.

The same zone always gives the same text, whatever order its records came in, so texts of two versions can be compared
line by line. `nameserver.zone.zonefile` reads it back.
"""

from collections.abc import Iterable, Iterator, Mapping

from nameserver.wire.rdata import type_text
from nameserver.wire.rrset import split_tails
from nameserver.zone.node import owner_of, unpack_node
from nameserver.zone.rdata_to_text import name_text, rdata_text
from nameserver.zone.sorted_places import canonical_place


def node_lines(key: bytes, node: bytes, apex_as_received: bytes) -> list[str]:
    """The records of one owner, each as a line without its line end: by type, an SOA first, and by rdata."""
    owner = owner_of(node, key, apex_as_received)
    text = name_text(owner)
    lines = []
    for rrset in unpack_node(node, b""):
        tails = rrset.tails
        head = f"{text} {rrset.ttl} IN {type_text(rrset.type)}"
        if rrset.rdata_count == 1:
            lines.append(f"{head} {rdata_text(rrset.type, tails[10:])}")
            continue
        lines += [f"{head} {rdata_text(rrset.type, tail[10:])}" for tail in sorted(split_tails(tails))]
    if not key:  # the apex: its SOA, of which there is one, to the front
        lines.sort(key=lambda line: line.split(" ", 4)[3] != "SOA")
    return lines


def zone_file_lines(nodes: Mapping[bytes, bytes], apex_as_received: bytes) -> Iterator[str]:
    """Each record of a zone as a line without its line end."""
    for key in sorted(nodes, key=canonical_place):
        yield from node_lines(key, nodes[key], apex_as_received)


def owner_texts(items: Iterable[tuple[bytes, bytes]], apex_as_received: bytes) -> list[tuple[bytes, str]]:
    """(place in canonical order, text of all records) of some owners, given as (key, node); in canonical order."""
    texts = [
        (canonical_place(key), "".join([f"{line}\n" for line in node_lines(key, node, apex_as_received)]))
        for key, node in items
    ]
    texts.sort()
    return texts


def write_zone_file(nodes: Mapping[bytes, bytes], apex_as_received: bytes) -> str:
    """A zone as text that `read_zone_file` reads back."""
    return "".join(f"{line}\n" for line in zone_file_lines(nodes, apex_as_received))
