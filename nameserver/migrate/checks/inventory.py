"""`migrate inventory`: everything in a zone that a move has to take care of."""

from collections.abc import Mapping, Sequence

import dns.dnssec
import dns.rdata
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from nameserver.migrate.asking.zone_stream import ZoneStream
from nameserver.migrate.checks.contents import Contents
from nameserver.migrate.report import Level, Report, Table
from nameserver.wire import names

LARGEST = 10  # RRsets whose TTLs are shown
SHOWN = 20  # names of one kind
HALF = 2**31


def serial_style(serial: int, today: str) -> tuple[str, str, str]:
    """(style, code of a finding or "", sentence). `today`: YYYYMMDD in UTC. RFC 1912 §2.2, RFC 1982."""
    text = str(serial)
    if len(text) == 10 and "19900101" <= text[:8] <= "20991231" and text[4:6] <= "12" and text[6:8] <= "31":
        day, number = text[:8], int(text[8:])
        if day > today:
            return "date", "serial-future", f"serial {serial} is dated after today ({today}): the next is {serial + 1}"
        if number == 99 and day == today:
            return "date", "serial-full", f"serial {serial} is today's last: go on with {serial + 1}, ahead of the date"
        return "date", "", f"serial {serial}: by date, {99 - number if day == today else 99} more today"
    if 10**9 <= serial < 2 * 10**9:
        return "epoch", "", f"serial {serial}: seconds since 1970"
    if serial > 2**32 - 1 - 10**6:
        return (
            "counter",
            "serial-wrap",
            f"serial {serial} is about to wrap; secondaries follow (RFC 1982), scripts may not",
        )
    return "counter", "", f"serial {serial}: a counter"


def way_to(serial: int, target: int) -> list[int]:
    """The serials to publish, one after the other, each taken by all secondaries, to get to `target` (RFC 1982 §3)."""
    steps = []
    while (ahead := (target - serial) % 2**32) >= HALF:
        serial = (serial + HALF - 1) % 2**32
        steps.append(serial)
    return [*steps, target] if ahead else steps


def judge(stream: ZoneStream, contents: Contents, server: str, today: str, wanted_serial: int | None = None) -> Report:
    """The inventory. Nothing in it is a fault of the zone's; what a move would lose or break is a warning."""
    report = Report("inventory", names.to_text(stream.zone))
    rows = tuple(
        (kind, str(number)) for kind, number in sorted(contents.counts.items(), key=lambda each: (-each[1], each[0]))
    )
    report.tables.append(Table("Records", ("TYPE", "RECORDS"), rows))
    largest = _largest_first({f"{owner} {kind}": ttl for (owner, kind), ttl in contents.ttls.items()})[:LARGEST]
    ttl_rows = tuple((str(ttl), text) for text, ttl in largest)
    report.tables.append(Table("Largest TTLs", ("TTL", "RRSET"), ttl_rows))
    _delegations(report, stream, contents)
    _soa(report, stream, today, wanted_serial)
    _dnssec(report, contents)
    _wildcards(report, contents)
    _list(
        report,
        "alias",
        "CNAME",
        [f"{owner} → {target}" for owner, target in sorted(contents.aliases.items())],
    )
    for owner in contents.beside_alias[:SHOWN]:
        apex = " (an alias of the zone itself is none that others take)" if owner == _apex(stream) else ""
        text = f"{owner} has a CNAME and other records beside it{apex}"
        report.add(Level.WARNING, "cname-conflict", text, "Most servers refuse such a zone: keep one of the two.")
    for kind, owners in sorted(contents.odd_types.items()):
        text = (
            f"{len(owners)} {kind} record{'s' if len(owners) > 1 else ''}, first at {owners[0]}: a provider's own type"
        )
        step = "Its meaning does not move with a transfer: replace it by plain records, or find out the new side's way."
        report.add(Level.WARNING, "provider-type", text, step)
    for each in contents.malformed[:SHOWN]:
        step = "Other servers may refuse the whole zone for it: write it anew, or remove it."
        report.add(Level.WARNING, "malformed", f"{each} is not what its type demands", step)
    for each in contents.occluded[:SHOWN]:
        report.add(
            Level.WARNING, "occluded", f"{each} lies below a delegation and is never answered", "Remove it, or move it."
        )
    for text in stream.outside[:SHOWN]:
        report.add(Level.WARNING, "out-of-zone", f"the server sends a record that is not in the zone: {text}")
    report.facts |= {
        "server": server,
        "serial": stream.soa.serial,
        "records": len(stream.records) + 1,
        "types": dict(sorted(contents.counts.items())),
        "delegations": contents.delegations,
        "wildcards": sorted(set(contents.wildcards)),
        "uncovered": contents.uncovered,
        "aliases": contents.aliases,
        "apex_ns": sorted(contents.apex_ns),
        "largest_ttl": max(contents.ttls.values(), default=0),
        "signed": bool(contents.keys),
        "denial": contents.denial,
    }
    report.verdict = f"{len(stream.records) + 1} records of {len(contents.counts)} types at serial {stream.soa.serial}."
    return report


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _list(report: Report, code: str, what: str, items: Sequence[str]) -> None:
    if items:
        more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
        number = f"{len(items)} {what}{'s' if len(items) > 1 else ''}"
        report.add(Level.NOTE, code, f"{number}: {', '.join(items[:SHOWN])}{more}")


def _apex(stream: ZoneStream) -> str:
    return names.to_text_absolute(stream.zone)


def _wildcards(report: Report, contents: Contents) -> None:
    if not contents.wildcards:
        return
    rows = []
    shown = sorted(set(contents.wildcards))[:SHOWN]
    types: dict[str, list[str]] = {owner: [] for owner in shown}
    for owner, kind in contents.ttls:
        if owner in types:
            types[owner].append(kind)
    for owner in shown:
        kinds = sorted(types[owner])
        beside = contents.uncovered.get(owner, [])
        more = f" and {len(beside) - LARGEST} more" if len(beside) > LARGEST else ""
        rows.append((owner, " ".join(kinds), f"{' '.join(beside[:LARGEST])}{more}"))
    report.tables.append(Table("Wildcards", ("OWNER", "TYPES", "LEAVES OUT"), tuple(rows)))
    _list(report, "wildcard", "wildcard", sorted(set(contents.wildcards)))


def _delegations(report: Report, stream: ZoneStream, contents: Contents) -> None:
    apex = names.to_text_absolute(stream.zone)
    if not contents.delegations:
        return
    rows = []
    for owner, targets in sorted(contents.delegations.items()):
        inside = [target for target in targets if f".{target}".endswith(f".{owner}")]
        missing = [target for target in inside if target not in contents.addresses]
        signed = f"{contents.delegation_signers[owner]} DS" if owner in contents.delegation_signers else "unsigned"
        rows.append(
            (owner, " ".join(sorted(targets)), signed, "missing: " + " ".join(missing) if missing else "complete")
        )
        for target in missing:
            text = f"{owner} is delegated to {target}, whose address (glue) is not in {apex}"
            report.add(Level.WARNING, "glue-missing", text, f"Add {target} A or AAAA to the zone.")
    report.tables.append(Table("Delegations", ("OWNER", "SERVERS", "DNSSEC", "GLUE"), tuple(rows)))


def _soa(report: Report, stream: ZoneStream, today: str, wanted: int | None) -> None:
    soa = stream.soa
    style, code, sentence = serial_style(soa.serial, today)
    furthest = (soa.serial + HALF - 1) % 2**32
    report.facts["serial_style"], report.facts["serial_headroom_to"] = style, furthest
    text = f"{sentence}; secondaries take what is up to {furthest} for newer (RFC 1982 §3.2)"
    report.add(Level.WARNING if code else Level.NOTE, code or "serial", text)
    if wanted is not None and (steps := way_to(soa.serial, wanted)):
        told = ", then ".join(map(str, steps))
        report.add(
            Level.NOTE, "serial-way", f"to get from serial {soa.serial} to {wanted}: publish {told} (RFC 1982 §3)"
        )
    judged = (
        (soa.refresh < 60, f"refresh {soa.refresh} s is very short", "1200 to 43200 s are usual (RFC 1912 §2.2)."),
        (soa.refresh > 86400, f"refresh {soa.refresh} s is long", "Without NOTIFY changes take that long."),
        (soa.retry >= soa.refresh, f"retry {soa.retry} s is not below refresh {soa.refresh} s", "Lower it."),
        (soa.expire < 7 * 86400, f"expire {soa.expire} s is less than a week", "1209600 to 2419200 s (RFC 1912 §2.2)."),
        (soa.expire < soa.refresh + soa.retry, f"expire {soa.expire} s ends before a retry", "Raise it."),
        (soa.minimum > 86400, f"minimum {soa.minimum} s keeps absence in caches for more than a day", "Lower it."),
    )
    for wrong, text, step in judged:
        if wrong:
            report.add(Level.WARNING, "soa-timer", f"SOA {text}", step)
    mname, rname = names.to_text_absolute(soa.mname), names.to_text_absolute(soa.rname)
    timers = (
        f"refresh {soa.refresh}, retry {soa.retry}, expire {soa.expire}, minimum {soa.minimum}, TTL {stream.soa_ttl}"
    )
    report.add(Level.NOTE, "soa", f"SOA: {mname} {rname}, {timers}")


def _dnssec(report: Report, contents: Contents) -> None:
    if not contents.keys:
        report.add(Level.NOTE, "unsigned", "the zone is not signed")
        return
    rows = []
    for key in contents.keys:
        if isinstance(key, DNSKEY):
            role = "KSK" if key.flags & 1 else "ZSK"
            state = " revoked" if key.flags & 0x80 else ""
            rows.append((role + state, str(dns.dnssec.key_id(key)), dns.dnssec.algorithm_to_text(key.algorithm)))
    report.tables.append(Table("DNSSEC keys", ("ROLE", "TAG", "ALGORITHM"), tuple(sorted(rows))))
    first = min((expiration for _, expiration in contents.signatures), default=0)
    report.facts["first_signature_expires"] = first
    text = (
        f"the zone is signed: {len(rows)} keys, {contents.denial or 'no'} proofs, {len(contents.signatures)} signatures"
    )
    report.add(Level.WARNING, "signed", text, "A move needs a plan for the DS: nameserver migrate dnssec.")
