"""A zone as the stream of records that a server sends, in canonical form, one `bytes` each: made for comparing.

    place · 0 0 · type · length · rdata with its names folded · TTL       (place: nameserver.zone.sorted_places)

They sort by owner in canonical order (RFC 4034 §6.1), then by type, then by rdata, shorter ones first; the TTL comes
last, so that records that differ in it alone are neighbours. Nothing is merged, left out or put right, as it is for
serving: two servers are the same only if they send the same. A million records take some 100 MB.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from nameserver.config.model import Endpoint, PullLimits, Remote, TlsPeer, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.zones import pull
from nameserver.server.zones.dialogue import Peer
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.address_runs import AddressRun, place_of
from nameserver.wire.rdata import fold_rdata, read_known_name, type_text
from nameserver.wire.tsig import StreamVerifier, TsigKey
from nameserver.wire.walk import Section, Walked
from nameserver.zone.builder import BuiltZone, Tally, ZoneBuilder, wrong_class
from nameserver.zone.rdata_to_text import rdata_text
from nameserver.zone.soa import Soa, parse_soa
from nameserver.zone.sorted_nodes import SortedNodes
from nameserver.zone.sorted_places import canonical_place, key_at

_ONE_ADDRESS = (14, 26)  # octets of a tail with an A or an AAAA
Progress = Callable[[int], None]  # is told how many records have come


@dataclass(slots=True)
class ZoneStream:
    """All records but the SOA, in canonical form and order; the SOA apart. `outside`: owners not below the apex."""

    zone: bytes
    soa: Soa
    soa_rdata: bytes
    soa_ttl: int
    records: list[bytes]
    outside: list[str] = field(default_factory=list)
    messages: int = 0
    bytes: int = 0


class _Collector(ZoneBuilder):
    """Stands where a transfer fills a zone: keeps every record as it came."""

    def __init__(self, apex: bytes, limits: TransferLimits, progress: Progress) -> None:
        super().__init__(apex, limits)
        self.records: list[bytes] = []
        self.outside: list[str] = []
        self.soa: Walked | None = None
        self._zone = apex
        self._most = limits.max_records
        self._progress = progress
        self._places: dict[bytes, bytes] = {}  # of the message at hand: an owner's records come together

    def add_walked(self, walked: Walked) -> None:
        """Take one record."""
        owner, rdtype, rdclass, tail = walked
        if rdclass != codes.IN:
            raise wrong_class(walked)
        if rdtype == codes.SOA and self.soa is None:
            self.soa = walked
            return
        folded = owner.lower()
        place = self._places.get(folded)
        if place is None:
            key = names.relative_key(folded, self._zone)
            if key is None:
                self.outside.append(f"{names.to_text_absolute(owner)} {type_text(rdtype)}")
                return
            place = self._places[folded] = canonical_place(key) + b"\0\0"
        self.records.append(place + tail[:2] + tail[8:10] + fold_rdata(rdtype, tail[10:]) + tail[4:8])

    def extend(self, section: Section) -> Walked | None:
        """Take records up to the next SOA, which is returned; None at the end of the message."""
        self._places.clear()
        wait = again = 1  # the first owner of a message is often the one that later ones point at
        while section.left:
            if not wait and section.message[section.offset : section.offset + 1] < b"\x40":
                again = 1 if self._take_addresses(section) else 2 * again
                wait = again
                continue
            walked = next(section)
            if walked[1] == codes.SOA:
                return walked
            self.add_walked(walked)
            wait -= wait > 0
        self._check_count()
        self._progress(len(self.records))
        return None

    def _take_addresses(self, section: Section) -> bool:
        """Take owners that hold addresses by the column, as `wire.address_runs` finds them; whether to try again soon.

        What looks odd in any way is left to be walked over: a label to escape, a name that is too long or outside.
        """
        run = AddressRun(section.message, section.offset)
        heads: dict[bytes, bytes] = {}  # pointer → the place of what it leads to, with its end of label
        most = 255
        for index, pointer in enumerate(run.pointers):
            if pointer in heads:
                continue
            name = _pointed_at(section, run.start(index), place_of(pointer))
            key = names.relative_key(name.lower(), self._zone) if name else None
            if key is None:
                run.cut(index)
                break
            heads[pointer] = canonical_place(key) + b"\0" if key else b""
            most = min(most, 255 - len(name))
        for index, label in enumerate(run.labels):
            if len(label) > most or b"\0" in label or b"\1" in label[1:]:
                run.cut(index)
                break
        run.keep_records(section.left)  # what follows the last of them is no answer
        add = self.records.append
        for index, (label, pointer, tails) in enumerate(zip(run.labels, run.pointers, run.tails, strict=True)):
            owner = b"%b%b\0\0" % (heads[pointer], label[1:])
            if len(tails) in _ONE_ADDRESS:
                add(owner + tails[:2] + tails[8:] + tails[4:8])
            else:
                for tail in run.tails_of(index):
                    add(owner + tail[:2] + tail[8:] + tail[4:8])
        section.offset = run.start(len(run))
        section.left -= run.records
        return len(run) * 2 >= run.found

    def _check_count(self) -> None:
        if len(self.records) > self._most:
            raise TransferError(Reason.LIMIT_RECORDS, f"more records than the limit of {self._most}")

    def finish(self) -> BuiltZone:
        """What the transfer asks for at its end; the records are in `records`."""
        if self.soa is None:
            raise AssertionError("a transfer begins with its SOA")
        rdata = self.soa[3][10:]
        return BuiltZone(SortedNodes([], []), self._zone, parse_soa(rdata), rdata, len(self.records) + 1, 0, Tally())


def _pointed_at(section: Section, owner_at: int, place: int) -> bytes:
    """The name that a pointer of an owner leads to; empty for one that whoever walks over the record will refuse."""
    try:
        return read_known_name(section.message, place, section.known)[0] if place < owner_at else b""
    except (WireError, IndexError):
        return b""


async def fetch_zone(
    zone: bytes,
    endpoint: Endpoint,
    key: TsigKey | None = None,
    *,
    source: str | None = None,
    tls: TlsPeer | None = None,
    limits: PullLimits | None = None,
    progress: Progress = lambda records: None,
) -> ZoneStream:
    """AXFR of `zone` (folded wire name) from one server, sorted. Raises TransferError with its reason."""
    peer = Peer(Remote(str(endpoint), (endpoint,), (key,) if key else (), source=source, tls=tls), endpoint, key)
    config = ZoneConfig(zone, names.to_text(zone), pull=limits or PullLimits())
    collector: _Collector | None = None

    def make_inbound(query_id: int, verifier: StreamVerifier | None) -> InboundTransfer:
        def make_builder(apex: bytes, limits: TransferLimits) -> ZoneBuilder:
            nonlocal collector
            collector = _Collector(apex, limits, progress)
            return collector

        return InboundTransfer(zone, TransferKind.AXFR, query_id, None, config.limits, verifier, make_builder)

    inbound = await pull.transfer(peer, config, TransferKind.AXFR, None, make_inbound)
    if collector is None or collector.soa is None:
        raise AssertionError("a transfer that ended well made its builder and had an SOA")
    tail = collector.soa[3]
    collector.records.sort()
    return ZoneStream(
        zone,
        parse_soa(tail[10:]),
        fold_rdata(codes.SOA, tail[10:]),
        int.from_bytes(tail[4:8], "big"),
        collector.records,
        collector.outside,
        inbound.stats.messages,
        inbound.stats.bytes,
    )


def make_record(place: bytes, rdtype: int, rdata: bytes, ttl: int) -> bytes:
    """A record of a stream from its parts; `rdata` uncompressed, in any case of its names."""
    head = b"%s\0\0%s%s" % (place, rdtype.to_bytes(2, "big"), len(rdata).to_bytes(2, "big"))
    return head + fold_rdata(rdtype, rdata) + ttl.to_bytes(4, "big")


def split_record(record: bytes) -> tuple[bytes, int, bytes, int]:
    """(place of the owner, type, rdata, TTL in seconds) of one record of a stream."""
    end = record.index(b"\0\0")
    return record[:end], int.from_bytes(record[end + 2 : end + 4], "big"), record[end + 6 : -4], ttl_of(record)


def ttl_of(record: bytes) -> int:
    """The TTL of a record of a stream, in seconds."""
    return int.from_bytes(record[-4:], "big")


def record_text(record: bytes, zone: bytes, *, ttl: bool = True) -> str:
    """A record as a line of a zone file: `www.example.com. 3600 IN A 192.0.2.1`."""
    place, rdtype, rdata, seconds = split_record(record)
    owner = names.to_text_absolute(key_at(place) + zone)
    return f"{owner} {f'{seconds} ' if ttl else ''}IN {type_text(rdtype)} {rdata_text(rdtype, rdata)}"


def soa_text(stream: ZoneStream) -> str:
    """The SOA as such a line."""
    rdata = rdata_text(codes.SOA, stream.soa_rdata)
    return f"{names.to_text_absolute(stream.zone)} {stream.soa_ttl} IN SOA {rdata}"
