"""What the parent says of a zone, all of its servers taken together: what a move and a way back have to know."""

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation
from nameserver.migrate.checks.contents import Contents
from nameserver.migrate.checks.snapshot import Parent
from nameserver.migrate.report import Level, Report, Table

_COLUMNS = ("TAG", "ALGORITHM", "DIGEST", "TTL", "KEY IN THE ZONE")


async def ask_parent(tree: Tree, zone: dns.name.Name) -> tuple[Parent, str]:
    """(NS and DS of all servers of the parent together, why one of them is not known: "" where both are)."""
    try:
        seen = await delegation.measure(tree, zone, only_parent=True)
    except NotFound as error:
        return Parent(), str(error)
    views = [view for view in seen.parents if not view.problem]
    delegating = [view for view in views if not view.child_too]  # the others name the servers that the zone names
    found = Parent(
        sorted(frozenset().union(*(view.ns for view in delegating))),
        max((view.ns_ttl for view in delegating), default=0),
        sorted(frozenset().union(*(view.ds for view in views))),
        max((view.ds_ttl for view in views), default=0),
    )
    if not views:
        return found, "none of its servers answered"
    return found, "" if delegating else "its servers have the zone too, and do not show how it is delegated"


def tell_ds(report: Report, contents: Contents, parent: Parent, missing: str) -> None:
    """The DS in an inventory, each beside the key of the zone that it stands for. `missing`: why they are not known."""
    if missing and not parent.ds:
        text = f"the DS at the parent are not known: {missing}"
        report.add(Level.WARNING, "no-parent", text, "Ask again, or from elsewhere: nameserver migrate dnssec.")
        return
    zone = dns.name.from_text(report.zone)
    signers = [record for text in parent.ds if isinstance(record := dns.rdata.from_text("IN", "DS", text), DS)]
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for signer in signers:
        key = next((key for key in contents.keys if isinstance(key, DNSKEY) and _made_of(signer, key, zone)), None)
        role = "none" if key is None else "KSK" if key.flags & 1 else "ZSK"
        if key is None:
            tones[len(rows)] = Level.WARNING
        algorithm = dns.dnssec.algorithm_to_text(signer.algorithm)
        rows.append((str(signer.key_tag), algorithm, str(int(signer.digest_type)), str(parent.ds_ttl), role))
    if rows:
        report.tables.append(Table("DS at the parent", _COLUMNS, tuple(rows), tones))
    report.facts |= {"ds": parent.ds, "ds_ttl": parent.ds_ttl}
    if tones:
        text = f"{len(tones)} of {len(rows)} DS at the parent stand for no key of the zone"
        step = "Compare both sides: nameserver migrate dnssec."
        report.add(Level.WARNING, "ds-without-key", text, step)
    if contents.keys and not rows:
        report.add(Level.NOTE, "no-ds", "the parent has no DS: validators take the zone for unsigned")


def _made_of(signer: DS, key: DNSKEY, zone: dns.name.Name) -> bool:
    """Whether a DS is of that key; by tag and algorithm, where the digest is of a type that is not known here."""
    if (signer.key_tag, signer.algorithm) != (dns.dnssec.key_id(key), key.algorithm):
        return False
    try:
        return bool(dns.dnssec.make_ds(zone, key, signer.digest_type, validating=True).digest == signer.digest)
    except (dns.exception.DNSException, ValueError):
        return True
