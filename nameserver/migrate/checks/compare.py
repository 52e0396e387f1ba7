"""`migrate compare`: the parity gate. Whether two servers hold the same zone, record for record.

    old  ─ AXFR ─▶ sorted stream ─┐
                                  ├─ one walk through both ─▶ only old · only new · other TTL · twice ─▶ report
    new  ─ AXFR ─▶ sorted stream ─┘

The order in which a server sends, the case of names and how it compresses them make no difference; all else does.
Where one side refuses the transfer, it is asked for each RRset that the other side has (`by_query`), or for those of a
sample of names (`sampling`). That shows what is missing or different there, not what it has beyond; so it is no proof,
and the report says so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dns.rdatatype import CDNSKEY, CDS, DNSKEY, NSEC, NSEC3, NSEC3PARAM, RRSIG

from nameserver.migrate.asking.zone_stream import ZoneStream, record_text, soa_text, split_record, ttl_of
from nameserver.migrate.checks.steering import MadeUp, Varying, told
from nameserver.migrate.report import Level, Report, Table
from nameserver.wire import names
from nameserver.zone.serial import Order, compare

MATCH = "ZONES MATCH: Proceed with cutover"
NOT_PROVEN = "PARITY IS NOT PROVEN: do not proceed"
VARY = "ANSWERS VARY where the same was asked"
MADE_UP = "ANSWERS ARE NOT WHAT IS TRANSFERRED"
COLUMNS = ("SIDE", "SERVER", "SERIAL", "RECORDS", "SEEN BY")
MOST_LINES = 10_000  # differences that are told one by one
_PRIVATE_SIGNING = 65534  # BIND's notes to itself while it signs
DNSSEC_TYPES = frozenset({*map(int, (RRSIG, NSEC, NSEC3, NSEC3PARAM, DNSKEY, CDS, CDNSKEY)), _PRIVATE_SIGNING})


class Kind(Enum):
    """How one record of the two zones differs."""

    ONLY_OLD = "-"
    ONLY_NEW = "+"
    TTL = "ttl"
    TWICE_OLD = "twice in old"
    TWICE_NEW = "twice in new"


@dataclass(frozen=True, slots=True)
class Difference:
    """One record: as the old side has it, as the new one has it (None where it has not)."""

    kind: Kind
    old: bytes | None
    new: bytes | None


@dataclass(frozen=True, slots=True)
class SampleShare:
    """How much of what could be asked for a sample is."""

    names: int
    names_of: int
    rrsets: int
    rrsets_of: int


@dataclass(slots=True)
class Coverage:
    """How a side was seen: `asked` counts RRsets asked for one by one where it was not transferred.

    `of`: records of the other side where that was transferred, `left_out`: those among them that no question shows, by
    what they are. `sample`: where not all of it was asked for.
    """

    asked: int = 0
    silent: int = 0
    why: str = ""  # why not by transfer
    of: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    unanswered: set[tuple[bytes, int]] = field(default_factory=set)  # places and types of the silent ones
    sample: SampleShare | None = None
    by_choice: bool = False  # nobody tried to transfer it
    shown: set[tuple[bytes, int]] = field(default_factory=set)  # places and types that other answers were looked at for

    @property
    def whole(self) -> bool:
        """Whether everything that the side has was seen."""
        return not self.why

    @property
    def answered(self) -> str:
        """The share of the questions that were answered."""
        return _percent(self.asked - self.silent, self.asked)

    @property
    def share(self) -> str:
        """What was compared, as part of a sentence."""
        if self.sample:
            names, rrsets = self.sample.names, max(0, self.sample.rrsets - self.silent)
            return (
                f"a sample of {names} of {self.sample.names_of} names ({_percent(names, self.sample.names_of)}), "
                f"{rrsets} of {self.sample.rrsets_of} RRsets ({_percent(rrsets, self.sample.rrsets_of)})"
            )
        if not self.of:
            return f"{self.asked - self.silent} of {self.asked} RRsets of a list of names"
        missing = sum(self.left_out.values())
        if not missing:
            return f"all {self.of} records of the other side"
        return f"{_percent(self.of - missing, self.of)} of {self.of} records"


def _percent(some: int, every: int) -> str:
    """A share, cut short rather than rounded up: all of it is 100 % and nothing else is."""
    if not every:
        return "0 %"
    return "100 %" if some == every else f"{math.floor(1000 * some / every) / 10:.1f} %"


@dataclass(slots=True)
class Side:
    """One side of the comparison. `varying`: what it answers now so, now so; `made_up`: not as it was transferred."""

    server: str
    stream: ZoneStream
    coverage: Coverage = field(default_factory=Coverage)
    varying: list[Varying] = field(default_factory=list)
    made_up: list[MadeUp] = field(default_factory=list)


def differences(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Difference]:
    """Walk through two sorted streams once. Both end up in the order of the streams."""
    at_old = at_new = 0
    end_old, end_new = len(old), len(new)
    while at_old < end_old or at_new < end_new:
        key_old = old[at_old][:-4] if at_old < end_old else None
        key_new = new[at_new][:-4] if at_new < end_new else None
        before = (at_old, at_new)
        if key_old is not None and (key_new is None or key_old <= key_new):
            at_old = _past(old, at_old, key_old)
        if key_new is not None and (key_old is None or key_new <= key_old):
            at_new = _past(new, at_new, key_new)
        if at_old - before[0] != 1 or at_new - before[1] != 1 or old[before[0]] != new[before[1]]:
            yield from _told(old[before[0] : at_old], new[before[1] : at_new])


def _past(records: Sequence[bytes], at: int, key: bytes) -> int:
    """Where the records end that are the same but for their TTLs. One, nearly always."""
    at += 1
    while at < len(records) and records[at][:-4] == key:
        at += 1
    return at


def _told(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Difference]:
    if not new:
        yield Difference(Kind.ONLY_OLD, old[0], None)
    elif not old:
        yield Difference(Kind.ONLY_NEW, None, new[0])
    elif {ttl_of(record) for record in old} != {ttl_of(record) for record in new}:
        yield Difference(Kind.TTL, old[0], new[0])
    if len(old) > 1:
        yield Difference(Kind.TWICE_OLD, old[0], None)
    if len(new) > 1:
        yield Difference(Kind.TWICE_NEW, None, new[0])


def without_dnssec(records: Sequence[bytes]) -> list[bytes]:
    """The records that no signer made."""
    kept = []
    for record in records:
        end = record.index(b"\0\0")
        if int.from_bytes(record[end + 2 : end + 4], "big") not in DNSSEC_TYPES:
            kept.append(record)
    return kept


def judge(
    old: Side,
    new: Side,
    *,
    ignore_dnssec: bool = False,
    accept_partial: bool = False,
    who: tuple[str, str] = ("the old side", "the new side"),
) -> Report:
    """Compare, and say whether the cut-over may proceed: the last line is `MATCH` only where the exit code is 0.

    `who`: what the two are called in sentences.
    """
    zone = old.stream.zone
    report = Report("compare", names.to_text(zone))
    if ignore_dnssec:
        old.stream.records, new.stream.records = (without_dnssec(side.stream.records) for side in (old, new))
    counts = dict.fromkeys(Kind, 0)
    ttl_lines: list[str] = []
    for difference in differences(*_steady(old, new)):
        counts[difference.kind] += 1
        if len(report.lines) + len(ttl_lines) < MOST_LINES:
            (ttl_lines if difference.kind is Kind.TTL else report.lines).extend(_lines(difference, zone))
    _tell_records(report, counts, who)
    soa = _judge_soa(report, old, new, who)
    if ttl_lines:
        report.lines += ["; TTL alone", *ttl_lines]
    if soa:
        report.lines += ["; SOA", f"- {soa_text(old.stream)}", f"+ {soa_text(new.stream)}"]
    if not old.stream.records and not new.stream.records:
        text = "neither side was seen to have a record beside its SOA: there is nothing that could be the same"
        report.add(Level.FAULT, "nothing-compared", text, "Load the zone; where names are asked for, give some it has.")
    for name, side in zip(who, (old, new), strict=True):
        _judge_coverage(report, name, side, accept_partial=accept_partial)
        for text in side.stream.outside[:10]:
            report.add(Level.WARNING, "out-of-zone", f"{name} sends a record outside the zone: {text}")
        for code, text, step in told(side.server, side.varying, side.made_up, zone):
            report.add(Level.FAULT, code, text, step)
    report.tables.append(_sides(old, new))
    report.facts = {
        "old": _facts(old),
        "new": _facts(new),
        "only_old": counts[Kind.ONLY_OLD],
        "only_new": counts[Kind.ONLY_NEW],
        "ttl_only": counts[Kind.TTL],
        "soa_differs": bool(soa),
        "serial_differs": old.stream.soa.serial != new.stream.soa.serial,
        "dnssec": "ignored" if ignore_dnssec else "compared",
    }
    report.verdict = _verdict(counts, soa, [side.coverage for side in (old, new) if not side.coverage.whole], report)
    return report


def _steady(old: Side, new: Side) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The records of both without those that were asked for and vary: each question would show another difference."""
    moving = {(each.place, each.rdtype) for side in (old, new) if not side.coverage.whole for each in side.varying}
    if not moving:
        return old.stream.records, new.stream.records
    one, two = ([record for record in side.stream.records if _owed_to(record) not in moving] for side in (old, new))
    return one, two


def _owed_to(record: bytes) -> tuple[bytes, int]:
    """Place and type of a record; of a signature, of what it covers."""
    place, rdtype, rdata, _ = split_record(record)
    return place, int.from_bytes(rdata[:2], "big") if rdtype == RRSIG else rdtype


def _lines(difference: Difference, zone: bytes) -> Iterator[str]:
    if difference.kind in (Kind.ONLY_OLD, Kind.TTL) and difference.old is not None:
        yield f"- {record_text(difference.old, zone)}"
    if difference.kind in (Kind.ONLY_NEW, Kind.TTL) and difference.new is not None:
        yield f"+ {record_text(difference.new, zone)}"
    if difference.kind in (Kind.TWICE_OLD, Kind.TWICE_NEW):
        yield f"; {difference.kind.value}: {record_text(difference.old or difference.new or b'', zone)}"


def _tell_records(report: Report, counts: dict[Kind, int], who: tuple[str, str]) -> None:
    old, new = who
    kinds = (
        (Kind.ONLY_OLD, Level.FAULT, "missing", f"missing at {new}", f"Add what is marked with - at {new}."),
        (Kind.ONLY_NEW, Level.FAULT, "extra", f"at {new} only", f"Remove what is marked with + at {new}."),
        (Kind.TTL, Level.FAULT, "ttl-drift", "the same but for the TTL", "Set the same TTLs at both."),
        (Kind.TWICE_OLD, Level.NOTE, "twice", f"sent more than once by {old}", ""),
        (Kind.TWICE_NEW, Level.NOTE, "twice", f"sent more than once by {new}", ""),
    )
    for kind, level, code, text, step in kinds:
        if number := counts[kind]:
            report.add(level, code, f"{number} record{' is' if number == 1 else 's are'} {text}", step)
    if sum(counts.values()) > MOST_LINES:
        report.add(Level.NOTE, "cut", f"only the first {MOST_LINES} differences are listed")


def _judge_soa(report: Report, old: Side, new: Side, who: tuple[str, str]) -> list[str]:
    """The serial apart from what else an SOA says. Returns what differs of it beside the serial."""
    one, two = old.stream.soa, new.stream.soa
    pairs = zip(("mname", "rname", "refresh", "retry", "expire", "minimum"), _rest(old), _rest(new), strict=True)
    unlike = [(name, ours, theirs) for name, ours, theirs in pairs if ours != theirs]
    for name, ours, theirs in unlike:
        text = f"SOA {name} differs: {who[0]} {ours}, {who[1]} {theirs}"
        report.add(Level.FAULT, "soa-differs", text, "Make the SOA the same at both, the serial aside.")
    differs = [name for name, _, _ in unlike]
    if old.stream.soa_ttl != new.stream.soa_ttl:
        differs.append("TTL")
        text = f"the SOA's TTL differs: {who[0]} {old.stream.soa_ttl}, {who[1]} {new.stream.soa_ttl}"
        report.add(Level.FAULT, "ttl-drift", text, "It bounds how long a name's absence is cached (RFC 2308).")
    if one.serial != two.serial:
        order = {Order.OLDER: "ahead", Order.NEWER: "behind"}.get(compare(one.serial, two.serial), "not comparable")
        report.add(
            Level.WARNING,
            "serial-differs",
            f"serials differ: {who[0]} {one.serial}, {who[1]} {two.serial} ({order})",
            "If one is fed from the other, an update is under way: compare again.",
        )
    elif report.has(Level.FAULT):
        text = f"both have serial {one.serial} and yet differ: secondaries of either never learn of it"
        report.add(Level.FAULT, "same-serial-differs", text, "Raise the serial where the change was made.")
    return differs


def _rest(side: Side) -> tuple[str, ...]:
    soa = side.stream.soa
    mname, rname = (names.to_text_absolute(name.lower()) for name in (soa.mname, soa.rname))
    return mname, rname, str(soa.refresh), str(soa.retry), str(soa.expire), str(soa.minimum)


def _judge_coverage(report: Report, name: str, side: Side, *, accept_partial: bool) -> None:
    coverage = side.coverage
    if coverage.whole:
        return
    how = f"{'was not' if coverage.by_choice else 'could not be'} transferred ({coverage.why})"
    not_compared = ", ".join(f"{number} {what}" for what, number in coverage.left_out.items())
    report.add(
        Level.WARNING if accept_partial and not coverage.silent else Level.FAULT,
        "incomplete",
        f"{name} ({side.server}) {how}; it was asked for {coverage.asked} RRsets, "
        f"{coverage.answered} were answered. Compared were {coverage.share}"
        f"{f', not {not_compared}' if not_compared else ''}; what it has beyond them is not known",
        f"{'Compare without --sample' if coverage.sample else 'Allow us the transfer there'}, or accept this with "
        "--accept-partial.",
    )


def _sides(old: Side, new: Side) -> Table:
    rows = [side_row(name, side) for name, side in (("old", old), ("new", new))]
    return Table("", COLUMNS, tuple(rows))


def side_row(name: str, side: Side) -> tuple[str, ...]:
    """A side as a row under `COLUMNS`."""
    how = "AXFR" if side.coverage.whole else f"{side.coverage.asked} questions"
    return name, side.server, str(side.stream.soa.serial), str(len(side.stream.records) + 1), how


def _facts(side: Side) -> dict[str, object]:
    coverage = side.coverage
    return {
        "server": side.server,
        "serial": side.stream.soa.serial,
        "records": len(side.stream.records) + 1,
        "seen_by": "axfr" if coverage.whole else "questions",
        "asked": coverage.asked,
        "unanswered": coverage.silent,
        "not_compared": coverage.left_out,
    }


def _verdict(counts: dict[Kind, int], soa: list[str], partial: list[Coverage], report: Report) -> str:
    number = counts[Kind.ONLY_OLD] + counts[Kind.ONLY_NEW] + counts[Kind.TTL]
    what = [f"{number} record{'' if number == 1 else 's'}"] if number else []
    what += [f"the SOA ({', '.join(soa)})"] if soa else []
    if what:
        return f"ZONES DIFFER in {' and '.join(what)}: do not proceed"
    if report.faults & {"varies", "answers-differ"}:
        return f"{VARY if 'varies' in report.faults else MADE_UP}: do not proceed"
    if not partial:
        return MATCH if report.exit_code == 0 else NOT_PROVEN
    share = " and ".join(dict.fromkeys(coverage.share for coverage in partial))
    if report.exit_code == 0:
        return f"NO DIFFERENCE in {share}, accepted as partial: the rest was not compared"
    return f"{NOT_PROVEN}; no difference in {share}, the rest was not compared"
