"""The canonical zone file taken apart again, RRset by RRset, for the forms that are made of it."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

JSON_FORMAT = 1


class RRsetText(NamedTuple):
    """An RRset as text. `owner` absolute, `ttl` in seconds, `rdata` in presentation form."""

    owner: str
    ttl: int
    type: str
    rdata: list[str]


def rrsets_of(lines: Iterable[str]) -> Iterator[RRsetText]:
    """The RRsets of a canonical zone file (`zone_text`), in its order, one in memory at a time.

    RRSIGs are told apart by the type that they cover, as in the zone (RFC 4034 §3), and whatever has another TTL is an
    RRset of its own.
    """
    before = ""
    rrset = RRsetText("", 0, "", [])
    for line in lines:
        owner, ttl, _, kind, rdata = line.rstrip("\n").split(" ", 4)
        head = f"{owner} {ttl} {kind} {rdata.partition(' ')[0] if kind == 'RRSIG' else ''}"
        if head != before:
            if rrset.rdata:
                yield rrset
            before, rrset = head, RRsetText(owner, int(ttl), kind, [])
        rrset.rdata.append(rdata)
    if rrset.rdata:
        yield rrset


def json_lines(lines: Iterable[str], zone: str, serial: int) -> Iterator[str]:
    """A canonical zone file as one JSON document with an RRset to a line, so that two of them compare line by line.

        {"format": 1, "zone": "example.com", "serial": 7, "rrsets": [
        {"owner": "example.com.", "ttl": 3600, "class": "IN", "type": "SOA", "rdata": ["ns1.example.com. …"]},
        …
        ], "records": 17}

    Order and texts are those of the zone file.
    """
    yield f'{{"format": {JSON_FORMAT}, "zone": {json.dumps(zone)}, "serial": {serial}, "rrsets": [\n'
    records, before = 0, ""
    for owner, ttl, kind, rdata in rrsets_of(lines):
        if before:
            yield f"{before},\n"
        records += len(rdata)
        before = json.dumps({"owner": owner, "ttl": ttl, "class": "IN", "type": kind, "rdata": rdata})
    yield f'{before}\n], "records": {records}}}\n'
