"""A zone as far as questions show it, for where a transfer is refused: RRset by RRset, of names that are known."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import dns.name
import dns.rdatatype

from nameserver.config.model import Endpoint
from nameserver.errors import Reason, TransferError
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.zone_stream import ZoneStream, make_record, split_record
from nameserver.migrate.checks.compare import Coverage
from nameserver.wire import codes, names
from nameserver.wire.rdata import fold_rdata
from nameserver.wire.tsig import TsigKey
from nameserver.zone.soa import parse_soa
from nameserver.zone.sorted_places import canonical_place, key_at

# What is asked at each name of a list, which says nothing of types.
_COMMON = "A AAAA CNAME MX NS TXT SRV CAA PTR DS TLSA HTTPS SVCB NAPTR SSHFP DNAME"
COMMON_TYPES = tuple(int(dns.rdatatype.from_text(text)) for text in _COMMON.split(" "))
NOT_ASKED = frozenset({int(dns.rdatatype.RRSIG), int(dns.rdatatype.NSEC), int(dns.rdatatype.NSEC3)})
SIGNED, BELOW = "signatures and proofs of absence", "records below delegations"  # what is not asked for
NOT_CHOSEN = "records at names outside the sample"
_WINDOW = 256  # questions that are prepared ahead

Wanted = tuple[bytes, int]  # place of an owner, type


def wanted_of(stream: ZoneStream) -> list[Wanted]:
    """Every RRset of a stream that an authoritative server can be asked for.

    Below a delegation nothing is answered but the referral; signatures and proofs of absence are no RRsets to ask for.
    """
    cuts = set()
    found: dict[Wanted, None] = {}
    for record in stream.records:
        place, rdtype, _, _ = split_record(record)
        if rdtype == codes.NS and place:
            cuts.add(place)
        if rdtype not in NOT_ASKED:
            found[place, rdtype] = None
    return [(place, rdtype) for place, rdtype in found if not _beyond(place, rdtype, cuts)]


def _beyond(place: bytes, rdtype: int, cuts: set[bytes]) -> bool:
    if place in cuts:
        return rdtype not in (codes.NS, codes.DS)
    parts = place.split(b"\0")
    return any(b"\0".join(parts[:end]) in cuts for end in range(1, len(parts)))


def restrict(
    stream: ZoneStream, wanted: Sequence[Wanted], every: Sequence[Wanted] = ()
) -> tuple[list[bytes], dict[str, int]]:
    """(the records that are among `wanted`, so that they compare with a side that was only asked for that; how many
    are not, by what they are).

    `every`: what `wanted` is a sample of, where it is one.
    """
    among, askable = set(wanted), set(every)
    kept: list[bytes] = []
    left_out: Counter[str] = Counter()
    for record in stream.records:
        place, rdtype, _, _ = split_record(record)
        if (place, rdtype) in among:
            kept.append(record)
        else:
            outside = NOT_CHOSEN if (place, rdtype) in askable else BELOW
            left_out[SIGNED if rdtype in NOT_ASKED else outside] += 1
    return kept, dict(sorted(left_out.items()))


def wanted_of_names(lines: Iterable[str], zone: bytes) -> list[Wanted]:
    """What to ask for a list of names, one a line, with types behind a name where they are known (`www A AAAA`).

    Raises ValueError for a line that is none, or a name outside the zone.
    """
    origin = dns.name.from_wire(zone, 0)[0]
    found: dict[Wanted, None] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].partition(";")[0].split()
        if not words:
            continue
        try:
            key = names.relative_key(names.fold(dns.name.from_text(words[0], origin).to_wire() or b""), zone)
            types = [int(dns.rdatatype.from_text(word)) for word in words[1:]] or COMMON_TYPES
        except Exception as error:
            raise ValueError(f"line {number}: {error or type(error).__name__}") from error
        if key is None:
            raise ValueError(f"line {number}: {words[0]} is not in {names.to_text(zone)}")
        found |= {(canonical_place(key), rdtype): None for rdtype in types}
    return list(found)


async def ask_zone(
    asker: Asker,
    zone: bytes,
    endpoint: Endpoint,
    wanted: Sequence[Wanted],
    key: TsigKey | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[ZoneStream, Coverage]:
    """What a server answers to each of `wanted`. Raises TransferError where it does not even answer with the SOA."""
    origin = dns.name.from_wire(zone, 0)[0]
    first = await asker.ask(Question(origin, dns.rdatatype.SOA), endpoint, key=key)
    if not isinstance(first, Reply):
        raise TransferError(first.reason, first.detail)
    soa = first.answer(origin, dns.rdatatype.SOA)
    if soa is None:
        raise TransferError(Reason.NO_SOA, f"{endpoint} answered {first.rcode} without the zone's SOA")
    if not first.authoritative:
        raise TransferError(Reason.NOT_AUTHORITATIVE, f"{endpoint} answers without AA: a resolver, or an expired zone")
    rdata = soa[0].to_wire() or b""
    stream = ZoneStream(zone, parse_soa(rdata), fold_rdata(codes.SOA, rdata), soa.ttl, [])
    coverage = Coverage(len(wanted))

    async def ask(each: Wanted) -> None:
        place, rdtype = each
        name = dns.name.from_wire(key_at(place) + zone, 0)[0]
        outcome = await asker.ask(Question(name, dns.rdatatype.RdataType.make(rdtype)), endpoint, key=key)
        if not isinstance(outcome, Reply) or outcome.rcode not in ("NOERROR", "NXDOMAIN"):
            coverage.silent += 1
            coverage.unanswered.add(each)
            return
        kind = dns.rdatatype.RdataType.make(rdtype)
        found = outcome.answer(name, kind) or outcome.authority(name, kind)  # a delegation's NS come as authority
        if found is not None:
            stream.records += [make_record(place, rdtype, record.to_wire() or b"", found.ttl) for record in found]

    for start in range(0, len(wanted), _WINDOW):
        await asyncio.gather(*map(ask, wanted[start : start + _WINDOW]))
        progress(min(start + _WINDOW, len(wanted)))
    stream.records.sort()
    return stream, coverage
