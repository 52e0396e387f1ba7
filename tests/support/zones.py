"""Zone texts for the tests, each a function of its serial, so that a served zone can be checked against its serial."""

from support.served_zones import zone_from_text as zone_from_text

TIMERS = "3600 600 86400 300"


def zone_text(zone: str, serial: int, *, extra: str = "", timers: str = TIMERS, hosts: int = 20) -> str:
    """A zone as people have them: apex, hosts, a delegation, an alias, mail, a wildcard, text, an unknown type."""
    lines = [
        f"$ORIGIN {zone}.",
        "$TTL 300",
        f"@ 3600 IN SOA ns1 hostmaster {serial} {timers}",
        "@ 3600 IN NS ns1",
        "@ 3600 IN NS ns2",
        "@ IN MX 10 mail",
        '@ IN TXT "v=spf1 -all" "second string"',
        "ns1 IN A 127.0.0.1",
        "ns2 IN A 127.0.0.2",
        "mail IN AAAA 2001:db8::25",
        "www 60 IN CNAME host-1",
        "_sip._tcp IN SRV 10 20 5060 mail",
        "*.wild IN A 192.0.2.99",
        "sub IN NS ns.sub",
        "ns.sub IN A 192.0.2.53",
        r"odd IN TYPE65534 \# 4 01020304",
        f'serial IN TXT "{serial}"',
    ]
    lines += [f"host-{number} IN A 192.0.2.{number % 250 + 1}" for number in range(1, hosts + 1)]
    return "\n".join(lines) + "\n" + extra


def small_zone_text(zone: str, serial: int, *, timers: str = TIMERS) -> str:
    """The least a zone can be and still be told from another: apex, one host, its serial."""
    return (
        f"$ORIGIN {zone}.\n$TTL 300\n@ IN SOA ns1 hostmaster {serial} {timers}\n@ IN NS ns1\n"
        f'ns1 IN A 127.0.0.1\nserial IN TXT "{serial}"\n'
    )
