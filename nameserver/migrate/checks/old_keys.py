"""When the keys of the old side may go, and whether one went too early.

Of a key that the old side signs with and the new side does not, caches hold for a while

    the parent's DS of it            until the last server of the parent has dropped it, and its TTL has passed
    key sets that it signed          until nobody is sent to the old side any more, and the DNSKEY TTL has passed
    answers that it signed           until then, and the largest TTL of what it signed has passed

and who has one of them needs the others: the key in the DNSKEY set of whichever side he asks, the DS of the key that
signed the set he holds. So after the cut-over DS and keys go in this order (RFC 6781 §4.1.2 and §4.3.5.1; the intervals
are those of RFC 7583 §3):

    nobody is sent there ─ DNSKEY TTL ─▶ DS of the old side ─ DS TTL ─▶ its keys, when its answers have run out as well

Without DNSSEC for a while it is DS ─ DS TTL ─▶ keys. Where nothing leads to a key nobody needs it: a zone without DS,
or a new side that signs with the same keys. All times are measured, and count from when something was first seen to be
so: when it was last seen not to be so may have been long before it changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
from dns.rdatatype import DNSKEY

from nameserver.migrate.checks.signed_sides import (
    Key,
    Side,
    anchors_of,
    describe,
    fits,
    keys_of,
    signs,
    texts_of,
)
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.report import Json, Level, Report, Table

DS_SEEN, DS_GONE = "ds-seen", "ds-gone"  # a DS of the key at any server of the parent …
DS_SINCE = "ds-since"  # … and, since when in a row, at every one
SET_SEEN, SET_ENDED = "set-seen", "set-ended"  # the old side signs its DNSKEY set with it
ZONE_SEEN, ZONE_ENDED = "zone-seen", "zone-ended"  # the old side signs the zone with it
NEW_SEEN = "new-seen"  # the new side publishes it
PARENT, DS_TTL, SENT, NS_TTL, SETS, ANSWERS = "parent", "ds-ttl", "delegation", "ns-ttl", "key-sets", "answers"
UNTIL_DS_MAY_GO = (SENT, NS_TTL, SETS)
STEP_KEY = "Publish it there again, and leave it until nothing needs it: validators that hold what it signed fail."
STEP_DS = "Have the registrar set it again: who holds a key set that it leads to cannot validate the zone."


@dataclass(frozen=True, slots=True)
class Ttls:
    """In seconds, the largest that caches may hold: of the DS, of DNSKEY sets, of answers, of NS at parent and apex."""

    ds: float
    keys: float
    answers: float
    ns: float


@dataclass(frozen=True, slots=True)
class Look:
    """What is there now. `ds`: DS sets by server of the parent; `all_told`: each of them has answered.

    `sends`: who names a server that is the old side's alone, parent and new side; `to_new`: the parent names the new
    side. `clings`: the old side does so itself. `ttls`: as they are now.
    """

    ds: Mapping[str, frozenset[str]]
    all_told: bool
    sends: Sequence[str]
    to_new: bool
    old: Sequence[Side]
    new: Sequence[Side]
    clings: bool
    ttls: Ttls


@dataclass(frozen=True, slots=True)
class Known:
    """What was measured before and now. `keys`: DNSKEY as text → its marks, each with a time (seconds since 1970).

    `left`: since when nobody is sent to the old side, `insecure`: since when there is no DS at all; None: not so.
    `aged`: when answers of before the TTLs were lowered have run out. `former_ds`: the DS of the snapshot.
    """

    keys: Mapping[str, Mapping[str, float]]
    left: float | None
    insecure: float | None
    ttls: Ttls
    aged: float = 0.0
    former_ds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Need:
    """Something that still needs a key. `until`: seconds since 1970; None: until somebody does something."""

    kind: str
    text: str
    until: float | None


@dataclass(slots=True)
class OldKey:
    """A key of the old side, with what needs it."""

    key: Key
    marks: Mapping[str, float]
    needs: list[Need] = field(default_factory=list)
    given_by: list[str] = field(default_factory=list)  # servers of the parent that have a DS of it
    dropped_by: list[str] = field(default_factory=list)  # those that have a DS set without one of it

    @property
    def until(self) -> float | None:
        """When nothing needs it any more, if nothing but time has to pass."""
        times = [need.until for need in self.needs]
        return None if None in times else max((each for each in times if each is not None), default=0.0)

    def needed_by(self, *kinds: str) -> bool:
        """Whether one of these needs it."""
        return any(need.kind in kinds for need in self.needs)


def key_of(text: str) -> Key | None:
    """A key from its text; None for what is none."""
    try:
        record = dns.rdata.from_text("IN", "DNSKEY", text)
    except (dns.exception.DNSException, ValueError):
        return None
    return record if isinstance(record, Key) else None


def judge(zone: dns.name.Name, look: Look, known: Known, now: float, *, final: bool = False) -> Report:
    """Which keys of the old side are needed by what, and which went too early. `final`: none may be needed any more."""
    report = Report("old-keys", zone.to_text(omit_final_dot=True))
    secure = _secure(look, known, now)
    keys = [each for each in _keys(zone, look, known) if each.marks]
    for each in keys:
        each.needs = list(dict.fromkeys(_needs(each, look, known, now))) if secure else []
    _judge_silent(report, look)
    for each in keys:
        _judge_new_side(report, each, look)
        if _asked(known, now):
            _judge_old_side(report, each, keys, look, known, now)
        _judge_ds(report, each, keys)
    if secure and not keys:
        _judge_unseen(report, zone, look, known, now)
    for each in keys:
        _tell_when(report, each, known, now, final=final)
    if look.clings and any(each.needs for each in keys):
        text = "the old side names itself in the zone's NS set: resolvers that ask it go on asking it"
        report.add(Level.WARNING, "old-clings", text, "Name the new side's servers alone there as well, if it can be.")
    report.tables.append(_table(keys, look, known))
    report.facts = {describe(each.key): _facts(each) for each in keys}
    untils = [each.until for each in keys if each.needs]
    if final and untils and None not in untils:
        report.facts["safe_from"] = max(until for until in untils if until is not None)
    _conclude(report, keys, secure=secure)
    return report


def _secure(look: Look, known: Known, now: float) -> bool:
    """Whether validators ask for anything: there is a DS, or may be one in caches."""
    if any(look.ds.values()) or known.insecure is None:
        return True
    ever = bool(known.former_ds) or any(DS_SEEN in marks for marks in known.keys.values())
    return ever and now < known.insecure + known.ttls.ds


def _keys(zone: dns.name.Name, look: Look, known: Known) -> Iterator[OldKey]:
    for text, marks in sorted(known.keys.items()):
        key = key_of(text)
        if key is None:
            continue
        given = {server: _has_ds(zone, key, texts) for server, texts in look.ds.items()}
        yield OldKey(
            key,
            marks,
            given_by=sorted(server for server, has in given.items() if has),
            dropped_by=sorted(server for server, has in given.items() if not has and look.ds[server]),
        )


def _has_ds(zone: dns.name.Name, key: Key, texts: frozenset[str]) -> bool:
    return any(fits(zone, key, ds) for ds in anchors_of(texts))


def _needs(each: OldKey, look: Look, known: Known, now: float) -> Iterator[Need]:
    """What needs it now."""
    marks, ttls = each.marks, known.ttls
    if each.given_by:
        yield Need(PARENT, f"the parent has its DS ({', '.join(each.given_by)})", None)
    elif DS_SEEN in marks:
        since = marks.get(DS_GONE)
        if since is None:
            yield Need(PARENT, "not every server of the parent says that its DS is gone", None)
        elif now < since + ttls.ds:
            yield Need(DS_TTL, f"its DS is in caches ({ttls.ds:.0f} s)", since + ttls.ds)
    left_over = None if known.left is None else known.left + ttls.ns
    for seen, ended, kind, ttl, what in (
        (SET_SEEN, SET_ENDED, SETS, ttls.keys, "key sets that it signed are"),
        (ZONE_SEEN, ZONE_ENDED, ANSWERS, ttls.answers, "answers that it signed are"),
    ):
        if seen not in marks:
            continue
        times = [time for time in (marks.get(ended), left_over) if time is not None]
        if not times:
            who = ", ".join(look.sends) or "not every server of the parent and of the new side says that nobody is"
            yield Need(SENT, f"resolvers are sent to the old side ({who})", None)
            continue
        over = min(times)
        if now < over:
            yield Need(NS_TTL, f"resolvers go to the old side by what they have cached ({ttls.ns:.0f} s)", over)
        until = max(over + ttl, known.aged if kind == ANSWERS else 0.0)
        if now < until:
            yield Need(kind, f"{what} in caches ({ttl:.0f} s)", until)


def _asked(known: Known, now: float) -> bool:
    """Whether the old side may still be asked."""
    return known.left is None or now < known.left + known.ttls.ns


def _judge_silent(report: Report, look: Look) -> None:
    if not look.all_told:
        text = "not every server of the parent has answered: what it says of the DS is not known"
        report.add(Level.FAULT, "parent-silent", text, "Ask again.")
    for side in look.new:
        if side.problem:
            text = f"the new side ({side.endpoint}): {side.problem}"
            report.add(Level.FAULT, "server-silent", text, "Ask again: whether it has the keys is not known.")


def _judge_new_side(report: Report, each: OldKey, look: Look) -> None:
    """A key that signed answers has to be in the set of whoever is asked in their place (RFC 8901 §2.1.2)."""
    wanted = ZONE_SEEN in each.marks and (NEW_SEEN in each.marks or look.to_new)
    if not each.needs or not wanted:
        return
    text = each.key.to_text()
    for side in look.new:
        if not side.problem and text not in texts_of(side.keys):
            _removed(report, each, f"the new side ({side.endpoint})")


def _judge_old_side(report: Report, each: OldKey, keys: Sequence[OldKey], look: Look, known: Known, now: float) -> None:
    """As long as it is asked it has to hold together with what caches have of it."""
    if not each.needs:
        return
    for side in look.old:
        held = texts_of(side.keys)
        if side.problem or each.key.to_text() in held:
            continue
        entries = [other for other in keys if other.key.to_text() in held and signs(side, other.key, DNSKEY)]
        if ZONE_SEEN not in each.marks and any(_everywhere(other, known, now) for other in entries):
            continue  # who has none but another's DS gets in by that
        _removed(report, each, f"the old side ({side.endpoint})")


def _everywhere(each: OldKey, known: Known, now: float) -> bool:
    """Whether every DS set that is cached has one of that key."""
    return now >= each.marks.get(DS_SINCE, now) + known.ttls.ds


def _removed(report: Report, each: OldKey, where: str) -> None:
    why = "; ".join(need.text for need in each.needs)
    until = "" if each.until is None else f", until {moment(each.until)}"
    report.add(
        Level.FAULT, "key-removed", f"{where} lacks {describe(each.key)}, which is needed: {why}{until}", STEP_KEY
    )


def _judge_ds(report: Report, each: OldKey, keys: Sequence[OldKey]) -> None:
    """The DS of the key that signs the old side's set has to outlive that set in caches (RFC 6781 §4.3.5.1)."""
    if not {SET_SEEN, DS_SEEN} <= each.marks.keys() or not each.needed_by(*UNTIL_DS_MAY_GO):
        return
    others = [other for other in keys if other is not each and SET_SEEN in other.marks and SET_ENDED not in other.marks]
    bare = [server for server in each.dropped_by if not any(server in other.given_by for other in others)]
    if bare:
        why = "; ".join(need.text for need in each.needs if need.kind in UNTIL_DS_MAY_GO)
        text = f"the DS of {describe(each.key)} is gone at the parent ({', '.join(bare)}), and needed: {why}"
        report.add(Level.FAULT, "ds-removed", text, STEP_DS)


def _judge_unseen(report: Report, zone: dns.name.Name, look: Look, known: Known, now: float) -> None:
    """Keys that went before anybody looked: all that is known of them is their DS."""
    of_new = [key for side in look.new for key in keys_of(side)]
    anchors = [
        ds
        for ds in anchors_of(known.former_ds | frozenset().union(*look.ds.values()))
        if not any(fits(zone, key, ds) for key in of_new)
    ]
    tags = sorted({(ds.key_tag, dns.dnssec.algorithm_to_text(ds.algorithm)) for ds in anchors})
    for side in look.old:
        if (
            side.problem
            or not _asked(known, now)
            or any(fits(zone, key, ds) for key in keys_of(side) for ds in anchors)
        ):
            continue
        for tag, algorithm in tags:
            text = f"the old side ({side.endpoint}) lacks key {tag} {algorithm}, whose DS the parent or caches have"
            report.add(Level.FAULT, "key-removed", text, STEP_KEY)
    if all(side.problem for side in look.old):
        text = "no server of the old side answers, and none was asked while it had keys: they are not known"
        report.add(Level.WARNING, "old-unknown", text, "Look for DS at the parent that fit no key of the new side.")


def _tell_when(report: Report, each: OldKey, known: Known, now: float, *, final: bool) -> None:
    name = describe(each.key)
    if each.given_by and not each.needed_by(*UNTIL_DS_MAY_GO):
        text = f"no key set that {name} signed is in caches any more: its DS may go"
        step = f"Have the registrar remove it; the keys follow {known.ttls.ds:.0f} s after it is gone everywhere."
        report.add(Level.NOTE, "ds-may-go", text, step)
    if not each.needs:
        report.add(Level.NOTE, "key-may-go", f"nothing needs {name} any more: it may go at both sides")
        return
    why = "; ".join(need.text for need in each.needs)
    when = "" if each.until is None else f", until {moment(each.until)}"
    passing = "" if each.until is None else f", in {remaining(each.until - now)}"
    level = Level.FAULT if final else Level.NOTE
    step = "Wait." if each.until is not None else _next(each, known)
    report.add(level, "key-needed", f"{name} is needed: {why}{when}", step, passing=passing)


def _next(each: OldKey, known: Known) -> str:
    if each.needed_by(SENT):
        return "Keep it at both sides until the parent and the zone name the new side alone, and caches have followed."
    sets = [need.until for need in each.needs if need.kind in UNTIL_DS_MAY_GO and need.until is not None]
    if sets:
        return f"Leave its DS where it is until {moment(max(sets))}, and the key {known.ttls.ds:.0f} s beyond that."
    return f"Have its DS removed; the key may go {known.ttls.ds:.0f} s after that."


def _when(each: OldKey, known: Known) -> str:
    if each.until is not None:
        return moment(each.until) if each.needs else "now"
    sets = [need.until for need in each.needs if need.kind != PARENT]
    if None in sets:
        return "not known yet"
    since = max((until for until in sets if until is not None), default=None)
    return f"{known.ttls.ds:.0f} s after its DS, which may go {'now' if since is None else f'from {moment(since)} on'}"


def _table(keys: Sequence[OldKey], look: Look, known: Known) -> Table:
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for each in keys:
        published = [each.key.to_text() in texts_of(side.keys) for side in look.new if not side.problem]
        there = "unknown" if not published else "published" if all(published) else "absent"
        signed = "at the parent" if each.given_by else "gone" if DS_SEEN in each.marks else "none"
        if each.needs:
            tones[len(rows)] = Level.WARNING
        needs = "; ".join(need.kind for need in each.needs) or "nothing"
        rows.append((describe(each.key), signed, there, needs, _when(each, known)))
    return Table("Keys of the old side", ("KEY", "DS", "AT THE NEW SIDE", "NEEDED BY", "MAY GO"), tuple(rows), tones)


def _facts(each: OldKey) -> Json:
    return {"needed_by": [need.kind for need in each.needs], "may_go": each.until}


def _conclude(report: Report, keys: Sequence[OldKey], *, secure: bool) -> None:
    needed = [each for each in keys if each.needs]
    if report.faults & {"key-removed", "ds-removed"}:
        report.verdict = "A key of the old side, or its DS, went too early: it is still needed."
    elif report.faults - {"key-needed"}:
        report.verdict = "Whether the keys of the old side are where they are needed is not known."
    elif needed:
        until = report.facts.get("safe_from")
        when = f"until {moment(until)}" if until is not None else "and time alone does not change that"
        report.verdict = f"{len(needed)} of the old side's keys {'is' if len(needed) == 1 else 'are'} needed {when}."
    elif keys:
        report.verdict = "Nothing needs the keys of the old side any more."
    else:
        report.verdict = "The old side has no key of its own." if secure else "There is no DS: nobody needs a key."
