"""`migrate decommission --keep-as-secondary`: the old side stays, as a secondary of the new one: what to paste there.

The zone gets a file of its own: what was primary stays as it is on disk, and a serial that was higher there cannot
keep the new side's versions out. Each form takes NOTIFY from the new side under its key.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nameserver.config.model import Endpoint
from nameserver.migrate.checks import key_clauses


@dataclass(frozen=True, slots=True)
class Kept:
    """What a snippet is about. `primaries`: the new side's servers; `key` "" for none."""

    zone: str  # without its final dot
    primaries: Sequence[Endpoint]
    key: str = ""
    algorithm: str = ""


def snippet(kept: Kept, vendor: str) -> list[str]:
    """The lines for one of `VENDORS`."""
    return VENDORS[vendor](kept)


def _remotes(kept: Kept) -> list[tuple[str, Endpoint]]:
    """A name for each of the new side's servers."""
    return [(f"new-side-{number}", endpoint) for number, endpoint in enumerate(kept.primaries, 1)]


def _bind(kept: Kept) -> list[str]:
    key = f' key "{kept.key}"' if kept.key else ""
    lines = ["// BIND 9.18 and later: in named.conf, in place of the zone; then: named-checkconf && rndc reconfig"]
    lines += key_clauses.bind(kept.key, kept.algorithm)
    primaries = " ".join(f"{each.host} port {each.port}{key};" for each in kept.primaries)
    lines += [f'zone "{kept.zone}" {{', "    type secondary;", f'    file "{kept.zone}.secondary";']
    return [*lines, f"    primaries {{ {primaries} }};", "    allow-transfer { none; };", "};"]


def _knot(kept: Kept) -> list[str]:
    lines = ["# Knot DNS 3: in knot.conf, in place of the zone; then: knotc conf-check && knotc reload"]
    lines += key_clauses.knot(kept.key, kept.algorithm)
    key = [f'    key: "{kept.key}"'] if kept.key else []
    remotes = _remotes(kept)
    lines += ["remote:"]
    for name, each in remotes:
        lines += [f'  - id: "{name}"', f'    address: "{each.host}@{each.port}"', *key]
    hosts = ", ".join(f'"{host}"' for host in dict.fromkeys(each.host for each in kept.primaries))
    lines += ["acl:", '  - id: "new-side-notify"', f"    address: [{hosts}]", *key, "    action: notify"]
    masters = ", ".join(f'"{name}"' for name, _ in remotes)
    lines += ["zone:", f'  - domain: "{kept.zone}"', f'    file: "{kept.zone}.secondary"', f"    master: [{masters}]"]
    lines += ['    acl: ["new-side-notify"]', "# Then, to leave the versions of before behind:"]
    return [*lines, f"# knotc zone-retransfer {kept.zone}"]


def _nsd(kept: Kept) -> list[str]:
    key = kept.key or "NOKEY"
    lines = ["# NSD 4: in nsd.conf, in place of the zone; then: nsd-checkconf nsd.conf && nsd-control reconfig"]
    lines += key_clauses.nsd(kept.key, kept.algorithm)
    lines += ["zone:", f'  name: "{kept.zone}"', f'  zonefile: "{kept.zone}.secondary"']
    lines += [f"  request-xfr: {each.host}@{each.port} {key}" for each in kept.primaries]
    return [*lines, *(f"  allow-notify: {host} {key}" for host in dict.fromkeys(each.host for each in kept.primaries))]


def _pdns(kept: Kept) -> list[str]:
    zone, key = kept.zone, kept.key
    primaries = " ".join(map(str, kept.primaries))
    lines = ["# PowerDNS Authoritative. pdns.conf (`slave` was renamed in 4.5 and is gone since 4.9):", "secondary=yes"]
    lines += ["", "# PowerDNS 5.0 and later:", *key_clauses.pdnsutil(key, kept.algorithm)]
    lines += [f"pdnsutil zone set-kind {zone} secondary", f"pdnsutil zone change-primary {zone} {primaries}"]
    if key:
        lines.append(f"pdnsutil tsigkey activate {zone} {key} secondary")
    lines += ["", "# PowerDNS 4:", *key_clauses.pdnsutil_4(key, kept.algorithm)]
    lines += [f"# pdnsutil set-kind {zone} secondary", f"# pdnsutil change-secondary-zone-primary {zone} {primaries}"]
    if key:
        lines.append(f"# pdnsutil activate-tsig-key {zone} {key} secondary")
    return [*lines, "", "# Then:", f"pdns_control retrieve {zone}"]


def _nameserver(kept: Kept) -> list[str]:
    lines = ["# nameserver: in nameserver.toml, in place of the zone; then: nameserver reload"]
    if kept.key:
        lines += [f'[key."{kept.key}"]', f'algorithm = "{kept.algorithm}"', f'secret-file = "{kept.key}.secret"', ""]
    for name, each in _remotes(kept):
        lines += [f"[remote.{name}]", f'address = ["{each}"]']
        lines += [f'key = "{kept.key}"', ""] if kept.key else [""]
    primaries = ", ".join(f'"{name}"' for name, _ in _remotes(kept))
    return [*lines, f'[zone."{kept.zone}"]', f"primaries = [{primaries}]"]


VENDORS: dict[str, Callable[[Kept], list[str]]] = {
    "bind": _bind,
    "knot": _knot,
    "nsd": _nsd,
    "pdns": _pdns,
    "nameserver": _nameserver,
}
