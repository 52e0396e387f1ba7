"""What a zone asks of its parent by records of its own, and whether the parent has done it.

    CSYNC (RFC 7477)                 copy NS, A and AAAA from the zone into the delegation
    CDS and CDNSKEY (RFC 7344, 8078) make the DS set this one; or, as `0 0 0 00`, have none

Some registries follow these, most do not look. In a move they matter twice: a parent that follows moves the
delegation by itself, as soon as the zone says so; and one that does not has to be told by hand whatever the zone says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.CSYNC
from dns.rdatatype import CDNSKEY, CDS

from nameserver.migrate.checks.signed_sides import Anchor, Key, Side, anchors_of, fits, keys_of, texts_of, valid
from nameserver.migrate.report import Level, Report

IMMEDIATE, SOAMINIMUM = 1, 2  # flags of CSYNC (RFC 7477 §2.1.1.2)
COPIED = frozenset({"NS", "A", "AAAA"})  # what a parent knows to copy (RFC 7477 §3.2)
DELETE_CDS, DELETE_CDNSKEY = "0 0 0 00", "0 3 0 AA=="  # RFC 8078 §4


@dataclass(frozen=True, slots=True)
class Csync:
    """A zone's CSYNC record as one server has it. `soa_serial`: of the zone there, where it is known."""

    serial: int
    flags: int
    types: frozenset[str]
    signed: bool
    soa_serial: int | None

    def __str__(self) -> str:
        kinds = ", ".join(sorted(self.types)) or "nothing"
        from_serial = f", from serial {self.serial} on" if self.flags & SOAMINIMUM else ""
        return f"{kinds}{', at once' if self.flags & IMMEDIATE else ''}{from_serial}"

    @property
    def obstacles(self) -> list[str]:
        """Why a parent must not act on it as it is (RFC 7477 §2.1.1, §3)."""
        found = []
        if not self.flags & IMMEDIATE:
            found.append("it does not say immediate, so the parent waits for another word (§2.1.1.2.1)")
        if self.flags & ~(IMMEDIATE | SOAMINIMUM):
            found.append(f"it has flags that nobody knows ({self.flags})")
        if self.types - COPIED:
            found.append(f"it names {', '.join(sorted(self.types - COPIED))}, which no parent copies")
        late = self.soa_serial is not None and (self.soa_serial - self.serial) % 2**32 >= 2**31
        if self.flags & SOAMINIMUM and late:
            found.append(f"the zone's serial {self.soa_serial} is below {self.serial}")
        if not self.signed:
            found.append("it is not signed, and a parent believes signed ones only (§3)")
        return found


def csync_of(record: dns.rdtypes.ANY.CSYNC.CSYNC, signed: bool, soa_serial: int | None) -> Csync:
    """From the record."""
    types = {
        dns.rdatatype.to_text(dns.rdatatype.RdataType.make(window * 256 + octet * 8 + bit))
        for window, bitmap in record.windows
        for octet, bits in enumerate(bitmap)
        for bit in range(8)
        if bits & (0x80 >> bit)
    }
    return Csync(record.serial, record.flags, frozenset(types), signed, soa_serial)


def judge_csync(
    report: Report, seen: Sequence[tuple[str, Csync | None]], parents: Iterable[frozenset[str]], own: frozenset[str]
) -> None:
    """Hold the zone's CSYNC against the delegation.

    `seen`: by server; `parents`: the NS set at each server of the parent; `own`: the zone's.
    """
    found = {csync for _, csync in seen if csync is not None}
    report.facts["csync"] = sorted({str(csync) for csync in found})
    if not found:
        return
    texts = {(csync.serial, csync.flags, csync.types) if csync else None for _, csync in seen}
    if len(texts) > 1:
        told = "; ".join(f"{server}: {csync or 'none'}" for server, csync in seen)
        step = "Publish the same at every server, or none: a parent compares them and does nothing (RFC 7477 §3.1)."
        report.add(Level.WARNING, "csync-differs", f"the servers have different CSYNC records: {told}", step)
    csync = min(found, key=lambda each: (bool(each.obstacles), str(each)))
    report.add(Level.NOTE, "csync", f"CSYNC asks the parent to copy {csync}")
    named = list(parents)
    if not named or not own:
        return
    if "NS" not in csync.types or all(each == own for each in named):
        step = (
            "A parent that follows changes the delegation as soon as the zone's NS set changes, before the cut-over: "
        )
        step += "take CSYNC out of the zone until the move is done."
        level = Level.NOTE if csync.obstacles else Level.WARNING
        report.add(level, "csync-followed", "the parent has what CSYNC asks it to copy", step)
    elif csync.obstacles:
        text = f"the parent has not copied the zone's NS, nor may it: {'; '.join(csync.obstacles)}"
        report.add(Level.WARNING, "csync-held", text, "Mend that, or change the NS at the registrar.")
    else:
        text = "the parent has not copied the zone's NS, though CSYNC asks it to"
        step = "If the registry follows CSYNC, wait: it looks now and then. If not, change the NS at the registrar."
        report.add(Level.WARNING, "csync-pending", text, step)


def judge_cds(report: Report, zone: dns.name.Name, sides: Sequence[Side], ds: frozenset[str], now: float) -> None:
    """Hold the CDS and CDNSKEY of each side against the parent's DS set, and against the keys of both sides."""
    for side in sides:
        if side.problem or not (side.cds or side.cdnskey):
            continue
        where = f"the {side.name} side ({side.endpoint})"
        if _is_delete(side):
            _judge_delete(report, where, ds)
            continue
        wishes = _wishes(side)
        _judge_agreement(report, zone, side, where)
        _judge_trust(report, zone, side, where, ds, now)
        for other in sides:
            if other.signed and not any(_names(zone, wishes, key) for key in keys_of(other)):
                text = f"{where}: CDS and CDNSKEY name no key of the {other.name} side"
                step = "A parent that follows would leave that side without a DS: publish both sides' keys in them."
                report.add(Level.WARNING, "cds-breaks", text, step)
        if _followed(zone, wishes, anchors_of(ds)):
            text = f"{where}: the parent's DS set is what CDS and CDNSKEY ask for"
            report.add(Level.NOTE, "cds-followed", text)
        else:
            text = f"{where}: CDS or CDNSKEY ask for a DS of {_told(wishes)}; the parent has {_told(anchors_of(ds))}"
            step = "If the registry follows CDS, wait: it looks now and then. If not, change the DS at the registrar."
            report.add(Level.WARNING, "cds-not-followed", text, step)


def _is_delete(side: Side) -> bool:
    return DELETE_CDS in texts_of(side.cds) or DELETE_CDNSKEY in texts_of(side.cdnskey)


def _judge_delete(report: Report, where: str, ds: frozenset[str]) -> None:
    if ds:
        text = f"{where}: CDS asks the parent to take the DS away (RFC 8078 §4), and it still has {len(ds)}"
        step = "A parent that follows makes the zone insecure. If that is not meant, take the record out of the zone."
        report.add(Level.WARNING, "cds-delete", text, step)
    else:
        report.add(Level.NOTE, "cds-followed", f"{where}: CDS asks for no DS, and the parent has none")


def _wishes(side: Side) -> list[Anchor | Key]:
    """The keys that CDS names by their digests, or CDNSKEY as they are where there is no CDS."""
    return [*anchors_of(texts_of(side.cds))] or [*_cdnskeys(side)]


def _cdnskeys(side: Side) -> list[Key]:
    """What CDNSKEY holds, as the keys that they stand for."""
    found = [dns.rdata.from_text("IN", "DNSKEY", text) for text in sorted(texts_of(side.cdnskey))]
    return [record for record in found if isinstance(record, Key)]


def _names(zone: dns.name.Name, wishes: Iterable[Anchor | Key], key: Key) -> bool:
    return any(wish == key if isinstance(wish, Key) else fits(zone, key, wish) for wish in wishes)


def _judge_agreement(report: Report, zone: dns.name.Name, side: Side, where: str) -> None:
    """Where both are there they have to say the same (RFC 7344 §4)."""
    digests, keys = anchors_of(texts_of(side.cds)), _cdnskeys(side)
    if not digests or not keys:
        return
    unmatched = [ds for ds in digests if not any(fits(zone, key, ds) for key in keys)]
    if unmatched or not all(_names(zone, digests, key) for key in keys):
        step = "Have the signer write both anew: a parent that finds them apart does nothing (RFC 7344 §4)."
        report.add(Level.WARNING, "cds-cdnskey-differ", f"{where}: CDS and CDNSKEY name different keys", step)


def _judge_trust(report: Report, zone: dns.name.Name, side: Side, where: str, ds: frozenset[str], now: float) -> None:
    """They have to be signed by a key that the present DS leads to (RFC 7344 §4.1)."""
    anchors = anchors_of(ds)
    entry = [key for key in keys_of(side) if any(fits(zone, key, each) for each in anchors)]
    for rdtype, rrset in ((CDS, side.cds), (CDNSKEY, side.cdnskey)):
        if rrset is None or not anchors:
            continue
        why = valid(rrset, side.signatures.get(rdtype, []), entry, zone, now)
        if why:
            text = f"{where}: {rdtype.name} is not signed by a key that the parent has a DS of: {why}"
            step = "The parent must not believe it (RFC 7344 §4.1): sign it with that key."
            report.add(Level.WARNING, "cds-untrusted", text, step)


def _followed(zone: dns.name.Name, wishes: Sequence[Anchor | Key], anchors: Sequence[Anchor]) -> bool:
    """Whether the DS set is of the keys that are asked for, no more and no fewer."""
    keys = [wish for wish in wishes if isinstance(wish, Key)]
    if not keys:
        return set(map(str, wishes)) == set(map(str, anchors))
    named = all(any(fits(zone, key, ds) for ds in anchors) for key in keys)
    return named and all(any(fits(zone, key, ds) for key in keys) for ds in anchors)


def _told(wishes: Iterable[Anchor | Key]) -> str:
    tags = {dns.dnssec.key_id(wish) if isinstance(wish, Key) else wish.key_tag for wish in wishes}
    return f"key {', '.join(map(str, sorted(tags)))}" if tags else "none"
