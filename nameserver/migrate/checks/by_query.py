"""A zone as far as questions show it, for where a transfer is refused: RRset by RRset, of names that are known."""

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import dns.name
import dns.rdatatype
import dns.rrset

from nameserver.config.model import Endpoint
from nameserver.errors import Reason, TransferError
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.zone_stream import ZoneStream, make_record, split_record
from nameserver.migrate.checks.compare import Coverage
from nameserver.migrate.checks.hashed_proofs import HashedProof, hashed_proofs_of
from nameserver.wire import codes, names
from nameserver.wire.rdata import fold_rdata
from nameserver.wire.tsig import TsigKey
from nameserver.zone.soa import parse_soa
from nameserver.zone.sorted_places import canonical_place, key_at

# What is asked at each name of a list, which says nothing of types.
_COMMON = "A AAAA CNAME MX NS TXT SRV CAA PTR DS TLSA HTTPS SVCB NAPTR SSHFP DNAME"
COMMON_TYPES = tuple(int(dns.rdatatype.from_text(text)) for text in _COMMON.split(" "))
SIGNED, BELOW = "signatures and proofs of absence", "records below delegations"  # what is not asked for
NOT_CHOSEN = "records at names outside the sample"
OF_SIGNERS = frozenset({codes.RRSIG, codes.NSEC, codes.NSEC3})
_NOT_ASKED = frozenset(
    {codes.RRSIG, codes.NSEC3}
)  # the one comes with what it covers, the other has no name to ask for
_AT_CUTS = frozenset({codes.NS, codes.DS, codes.NSEC})
_APEX_SOA = (b"", codes.SOA)
_ADDRESSES = (codes.A, codes.AAAA)
_WINDOW = 256  # questions that are prepared ahead

Wanted = tuple[bytes, int]  # place of an owner, type
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Askable:
    """What of a zone an authoritative server can be asked for.

    `wanted`: its RRsets. `signed`: their signatures come along. `glue`: the addresses that a referral brings, whether
    they are there or not, by the delegation: of its servers whose names are within it (RFC 9471 §3). `proofs`: what
    shows which NSEC3.
    """

    wanted: Sequence[Wanted]
    signed: bool = False
    glue: Mapping[bytes, frozenset[Wanted]] = field(default_factory=dict)
    proofs: Sequence[HashedProof] = ()

    def of(self, wanted: Sequence[Wanted]) -> "Askable":
        """A part of it, and what belongs to the names that are left."""
        chosen = {place for place, _ in wanted}
        return replace(self, wanted=wanted, proofs=[proof for proof in self.proofs if proof.base in chosen])


def askable_of(stream: ZoneStream) -> Askable:
    """What of a stream can be asked for.

    Below a delegation nothing is answered but the referral. That has the addresses of its servers, and where there is
    no DS the NSEC that says so (RFC 4035 §3.1.4); where there is one, no question shows the NSEC.
    """
    cuts: dict[bytes, set[bytes]] = {}
    found: dict[Wanted, None] = {}
    signed = False
    for record in stream.records:
        place, rdtype, rdata, _ = split_record(record)
        if rdtype == codes.NS and place:
            key = names.relative_key(rdata, stream.zone)
            cuts.setdefault(place, set()).update([] if key is None else [canonical_place(key)])
        signed = signed or rdtype == codes.RRSIG
        if rdtype not in _NOT_ASKED:
            found[place, rdtype] = None
    wanted = [each for each in found if not _beyond(*each, cuts) and not _is_proof_of_ds(*each, cuts, found)]
    glue = {
        cut: frozenset((target, rdtype) for target in targets if _is_within(target, cut) for rdtype in _ADDRESSES)
        for cut, targets in cuts.items()
        if not _below_a_cut(cut, cuts)
    }
    proofs = hashed_proofs_of(stream, cuts, found) if signed else []
    return Askable(wanted, signed, {cut: addresses for cut, addresses in glue.items() if addresses}, proofs)


def _beyond(place: bytes, rdtype: int, cuts: Container[bytes]) -> bool:
    return rdtype not in _AT_CUTS if place in cuts else _below_a_cut(place, cuts)


def _below_a_cut(place: bytes, cuts: Container[bytes]) -> bool:
    parts = place.split(b"\0")
    return any(b"\0".join(parts[:end]) in cuts for end in range(1, len(parts)))


def _is_proof_of_ds(place: bytes, rdtype: int, cuts: Container[bytes], found: Container[Wanted]) -> bool:
    return rdtype == codes.NSEC and place in cuts and (place, codes.DS) in found


def _is_within(place: bytes, cut: bytes) -> bool:
    return place == cut or place.startswith(cut + b"\0")


def restrict(
    stream: ZoneStream, asked: Askable, shown: Container[Wanted] = (), every: Sequence[Wanted] = ()
) -> tuple[list[bytes], dict[str, int]]:
    """(the records that were asked for, so that they compare with a side that was asked; how many were not, by what
    they are).

    `shown`: glue and NSEC3 that answers were looked at for. `every`: what `asked` is a sample of, where it is one.
    """
    among, askable = set(asked.wanted), set(every)
    cuts = {place for place, rdtype in asked.wanted if rdtype == codes.NS and place}
    kept: list[bytes] = []
    left_out: Counter[str] = Counter()
    for record in stream.records:
        place, rdtype, rdata, _ = split_record(record)
        if rdtype == codes.RRSIG:
            covered = int.from_bytes(rdata[:2], "big")
            apart = place in cuts and covered == codes.NS  # nobody signs a referral
            known = (place, covered) in (shown if covered == codes.NSEC3 else among) or (place, covered) == _APEX_SOA
            known = asked.signed and not apart and known
        else:
            known = (place, rdtype) in among or (place, rdtype) in shown
        if known:
            kept.append(record)
        elif rdtype in OF_SIGNERS:
            left_out[SIGNED] += 1
        else:
            left_out[NOT_CHOSEN if (place, rdtype) in askable else BELOW] += 1
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
    asked: Askable,
    key: TsigKey | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[ZoneStream, Coverage]:
    """What a server answers to each of `asked`. Raises TransferError where it does not even answer with the SOA."""
    origin = dns.name.from_wire(zone, 0)[0]
    first = await asker.ask(Question(origin, dns.rdatatype.SOA, do=asked.signed), endpoint, key=key)
    if not isinstance(first, Reply):
        raise TransferError(first.reason, first.detail)
    soa = first.answer(origin, dns.rdatatype.SOA)
    if soa is None:
        raise TransferError(Reason.NO_SOA, f"{endpoint} answered {first.rcode} without the zone's SOA")
    if not first.authoritative:
        raise TransferError(Reason.NOT_AUTHORITATIVE, f"{endpoint} answers without AA: a resolver, or an expired zone")
    rdata = soa[0].to_wire() or b""
    stream = ZoneStream(zone, parse_soa(rdata), fold_rdata(codes.SOA, rdata), soa.ttl, [])
    if asked.signed:
        stream.records += _signatures(first, origin, _APEX_SOA)
    asking = _Asking(asker, zone, endpoint, asked, key, stream.records)
    await _in_windows(asking.ask, asked.wanted, progress)
    await _in_windows(asking.ask_for_proof, asked.proofs, lambda done: progress(len(asked.wanted) + done))
    stream.records.sort()
    return stream, asking.coverage


async def _in_windows(
    ask: Callable[[T], Coroutine[None, None, None]], each: Sequence[T], progress: Callable[[int], None]
) -> None:
    for start in range(0, len(each), _WINDOW):
        await asyncio.gather(*map(ask, each[start : start + _WINDOW]))
        progress(min(start + _WINDOW, len(each)))


class _Asking:
    """Questions to one server; what they show goes to `records`, how far they came to `coverage`."""

    def __init__(
        self, asker: Asker, zone: bytes, endpoint: Endpoint, asked: Askable, key: TsigKey | None, records: list[bytes]
    ) -> None:
        self._asker, self._zone, self._endpoint, self._key = asker, zone, endpoint, key
        self._asked = asked
        self._records = records
        self.coverage = Coverage(len(asked.wanted) + len(asked.proofs))

    async def ask(self, wanted: Wanted) -> None:
        """An RRset, its signatures, and what glue comes with it."""
        place, rdtype = wanted
        question = self._question(wanted, do=self._asked.signed)
        reply = await self._reply(question)
        if reply is None:
            self.coverage.unanswered.add(wanted)
            return
        name, kind = question.name, question.type
        found = reply.answer(name, kind) or reply.authority(name, kind)  # a delegation's NS come as authority
        self._records += _records(found, wanted)
        if self._asked.signed:
            self._records += _signatures(reply, name, wanted)
        if rdtype == codes.NS and place in self._asked.glue and not reply.authoritative:
            await self._take_glue(question, reply, self._asked.glue[place])

    async def _take_glue(self, question: Question, referral: Reply, addresses: frozenset[Wanted]) -> None:
        glue = _addresses(referral, self._zone, addresses)
        if not referral.tcp and {split_record(record)[:2] for record in glue} != addresses:
            # Where there is room for all of them.
            again = await self._asker.ask(question, self._endpoint, tcp=True, key=self._key)
            if not isinstance(again, Reply) or again.authority(question.name, question.type) is None:
                return
            glue = _addresses(again, self._zone, addresses)
        self._records += glue
        self.coverage.shown |= addresses

    async def ask_for_proof(self, proof: HashedProof) -> None:
        """An NSEC3 and its signatures."""
        reply = await self._reply(self._question(proof.question, do=True))
        if reply is None:
            return
        owner, hashed = self._name(proof.place), (proof.place, int(codes.NSEC3))
        self._records += _records(reply.authority(owner, dns.rdatatype.NSEC3), hashed)
        self._records += _signatures(reply, owner, hashed)
        self.coverage.shown.add(hashed)

    async def _reply(self, question: Question) -> Reply | None:
        """None, and counted, where there is no answer."""
        outcome = await self._asker.ask(question, self._endpoint, key=self._key)
        if isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN"):
            return outcome
        self.coverage.silent += 1
        return None

    def _question(self, wanted: Wanted, *, do: bool) -> Question:
        return Question(self._name(wanted[0]), dns.rdatatype.RdataType.make(wanted[1]), do=do)

    def _name(self, place: bytes) -> dns.name.Name:
        return dns.name.from_wire(key_at(place) + self._zone, 0)[0]


def _records(found: dns.rrset.RRset | None, wanted: Wanted) -> list[bytes]:
    return [make_record(*wanted, record.to_wire() or b"", found.ttl) for record in found] if found is not None else []


def _signatures(reply: Reply, name: dns.name.Name, wanted: Wanted) -> list[bytes]:
    """The RRSIGs of what was asked for, which stand where that stands."""
    place, covered = wanted
    found = (
        rrset
        for rrset in (*reply.message.answer, *reply.message.authority)
        if rrset.rdtype == codes.RRSIG and rrset.covers == covered and rrset.name == name
    )
    return [record for rrset in found for record in _records(rrset, (place, codes.RRSIG))]


def _addresses(reply: Reply, zone: bytes, among: Container[Wanted]) -> list[bytes]:
    """The addresses that a referral brings."""
    found: list[bytes] = []
    for rrset in reply.message.additional:
        key = names.relative_key(names.fold(rrset.name.to_wire() or b""), zone)
        if key is not None and (wanted := (canonical_place(key), int(rrset.rdtype))) in among:
            found += _records(rrset, wanted)
    return found
