"""`migrate primary-snippet`: what to paste at a primary, so that we may have the zone and are told of changes.

Each form asks for address *and* key. Where a server's own words would mean "or" (BIND's lists, PowerDNS's
`allow-axfr-ips`), the form that means "and", or the key alone, is written, and a comment says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nameserver.config.model import Endpoint
from nameserver.migrate.checks import key_clauses
from nameserver.migrate.checks.key_clauses import SECRET


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a snippet is about. `secret` is base64, or `SECRET`; `key` "" for none.

    `tls_port`: transfers go over TLS to this port there, 0 for in plain; `shows_certificate`: we show one of ours.
    """

    zone: str  # without its final dot
    addresses: Sequence[Endpoint]  # where we are reached, and ask from
    key: str = ""
    algorithm: str = ""
    secret: str = SECRET
    tls_port: int = 0
    shows_certificate: bool = False


def snippet(wanted: Wanted, vendor: str) -> str:
    """The lines for one of `VENDORS`."""
    return VENDORS[vendor](wanted)


def _hosts(wanted: Wanted) -> list[str]:
    return list(dict.fromkeys(endpoint.host for endpoint in wanted.addresses))


def _bind(wanted: Wanted) -> str:
    hosts = " ".join(f"{host};" for host in _hosts(wanted))
    key = f' key "{wanted.key}"' if wanted.key else ""
    notify = " ".join(f"{each.host} port {each.port}{key};" for each in wanted.addresses)
    lines = ["// BIND 9.18 and later: named.conf, then: named-checkconf && rndc reconfig"]
    lines += key_clauses.bind(wanted.key, wanted.algorithm, wanted.secret)
    over = ""
    if wanted.tls_port:
        over = f" port {wanted.tls_port} transport tls"
        ours = ' ca-file "OUR-AUTHORITY.pem";' if wanted.shows_certificate else ""
        lines += [
            "// Its certificate and key" + ("; clients have to show theirs." if ours else "."),
            f'tls nameserver {{ cert-file "SERVER.pem"; key-file "SERVER.key";{ours} }};',
            f"// Into options {{ … }}: listen-on port {wanted.tls_port} tls nameserver {{ any; }};",
        ]
    lines += [f'zone "{wanted.zone}" {{', "    type primary;", f'    file "{wanted.zone}.zone";']
    if wanted.key:
        lines += [
            "    // A list means OR. This is AND: whoever is not at the address is refused, the others need the key.",
            f'    allow-transfer{over} {{ !{{ !{{ {hosts} }}; any; }}; key "{wanted.key}"; }};',
        ]
    else:
        lines.append(f"    allow-transfer{over} {{ {hosts} }};")
    return "\n".join([*lines, "    notify yes;", f"    also-notify {{ {notify} }};", "};", ""])


def _knot(wanted: Wanted) -> str:
    hosts = ", ".join(f'"{host}"' for host in _hosts(wanted))
    notify = ", ".join(f'"{each.host}@{each.port}"' for each in wanted.addresses)
    lines = ["# Knot DNS 3: knot.conf, then: knotc conf-check && knotc reload"]
    lines += key_clauses.knot(wanted.key, wanted.algorithm, wanted.secret)
    key = [f'    key: "{wanted.key}"'] if wanted.key else []
    lines += ["remote:", "  - id: nameserver", f"    address: [{notify}]", *key]
    lines += ["acl:", "  - id: nameserver-transfer", f"    address: [{hosts}]", *key, "    action: transfer"]
    lines += ["zone:", f'  - domain: "{wanted.zone}"', "    notify: [nameserver]", "    acl: [nameserver-transfer]", ""]
    return "\n".join(lines)


def _nsd(wanted: Wanted) -> str:
    key = wanted.key or "NOKEY"
    lines = ["# NSD 4: nsd.conf, then: nsd-checkconf nsd.conf && nsd-control reconfig"]
    lines += key_clauses.nsd(wanted.key, wanted.algorithm, wanted.secret)
    if wanted.tls_port:
        lines += [
            "# NSD 4.6 passes over ALPN: require-alpn = false in its [tls.NAME] here.",
            "server:",
            f"  ip-address: 0.0.0.0@53\n  ip-address: 0.0.0.0@{wanted.tls_port}",
            f"  tls-port: {wanted.tls_port}",
            '  tls-service-key: "SERVER.key"',
            '  tls-service-pem: "SERVER.pem"',
        ]
    lines += ["zone:", f'  name: "{wanted.zone}"', f'  zonefile: "{wanted.zone}.zone"']
    lines += [
        "  # Without these two NSD answers every IXFR with the whole zone.",
        "  store-ixfr: yes",
        "  create-ixfr: yes",
    ]
    lines += [f"  provide-xfr: {host} {key}" for host in _hosts(wanted)]
    lines += [f"  notify: {each.host}@{each.port} {key}" for each in wanted.addresses]
    return "\n".join([*lines, ""])


def _pdns(wanted: Wanted) -> str:
    zone, key = wanted.zone, wanted.key
    targets = " ".join(map(str, wanted.addresses))
    lines = ["# PowerDNS Authoritative. pdns.conf (`master` was renamed in 4.5 and is gone since 4.9):", "primary=yes"]
    if key:
        lines += ["# Empty, for an address listed there may have every zone without a key.", "allow-axfr-ips="]
    else:
        lines.append(f"allow-axfr-ips={','.join(_hosts(wanted))}")
    lines += ["", "# PowerDNS 5.0 and later:", f"pdnsutil zone set-kind {zone} primary"]
    lines += key_clauses.pdnsutil(key, wanted.algorithm, wanted.secret)
    if key:
        lines.append(f"pdnsutil metadata set {zone} TSIG-ALLOW-AXFR {key}")
    lines += [f"pdnsutil metadata set {zone} ALSO-NOTIFY {targets}", ""]
    lines += ["# PowerDNS 4:", f"# pdnsutil set-kind {zone} primary"]
    lines += key_clauses.pdnsutil_4(key, wanted.algorithm, wanted.secret)
    if key:
        lines.append(f"# pdnsutil set-meta {zone} TSIG-ALLOW-AXFR {key}")
    lines += [f"# pdnsutil set-meta {zone} ALSO-NOTIFY {targets}", ""]
    return "\n".join(lines)


WITH_TLS = frozenset({"bind", "nsd"})  # those whose versions in Debian 12 transfer over TLS
VENDORS: dict[str, Callable[[Wanted], str]] = {"bind": _bind, "knot": _knot, "nsd": _nsd, "pdns": _pdns}
