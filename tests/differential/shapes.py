"""What zones are made of: each function adds one shape of records that servers are known to disagree about.

A shape is given the draft and a place, which is the apex, a fresh name, or one that another shape may use too. None
says what the right answers are: that is for the servers to agree on.
"""

import random
from collections.abc import Callable

import dns.exception
import dns.name
from differential.draft import BIND, LABELS, ZoneDraft
from dns.name import Name

Shape = Callable[[ZoneDraft, Name], None]

LONGEST = 255
OUTSIDE = ("host.elsewhere.invalid.", "ns.elsewhere.invalid.", "elsewhere.invalid.", "www.example.invalid.")
ODD_LABELS = (
    b"dot.dot", b"back\\slash", b"sp ace", b"\x00", b"zero\x00zero", b"\xff\xfe", b"quo\"te", b"semi;colon", b"(par)",
    b"@", b"$", b"\x80\x01", b"*star", b"st*ar", b"**", b"_under", b"-", b"UPPER", b"\xc3\x84", b"a\\.b", b"\x01*",
)  # fmt: skip


def somewhere(zone: ZoneDraft, at: Name) -> Name:
    """A name for a record to point to: beside it, in the zone, there or not, in another zone, outside."""
    kind = zone.rng.randrange(8)
    if kind < 2:
        return zone.child(zone.label(), at)
    if kind == 2:
        return zone.child(zone.label())
    if kind == 3:
        return zone.child(zone.label(), zone.child(zone.label(), at))
    if kind == 4:
        return dns.name.from_text(zone.rng.choice(OUTSIDE))
    if kind == 5:
        return at
    if kind == 6 and zone.friends:
        return zone.rng.choice(zone.friends)
    return zone.rng.choice(zone.owners())


def hosts(zone: ZoneDraft, at: Name) -> None:
    """Names with addresses, several of a kind, some with text."""
    for label in zone.rng.sample(LABELS, 4):
        owner = zone.child(label, at)
        for _ in range(zone.rng.choice((1, 1, 2, 5))):
            zone.address(owner)
        if zone.rng.random() < 0.3:
            zone.add(owner, "TXT", '"host" "with" "text"')


def mail(zone: ZoneDraft, at: Name) -> None:
    """MX to hosts that are there, are not, are aliases, are covered by a wildcard, are elsewhere."""
    zone.address(zone.child("mail", at))
    for preference in range(zone.rng.choice((1, 2, 4))):
        zone.add(at, "MX", f"{preference} {somewhere(zone, at)}")
    zone.add(at, "MX", f"10 {zone.child('mail', at)}")
    zone.add(zone.child("nomail", at), "MX", "0 .")


def services(zone: ZoneDraft, at: Name) -> None:
    """Types whose data names hosts: SRV, NAPTR, SVCB, HTTPS, KX, AFSDB, RT, RP, PX; with and without those hosts."""
    host = zone.child("x", at)
    zone.address(host, six=False)
    zone.address(host, six=True)
    sip = zone.name("_sip._tcp", at)
    for priority in range(zone.rng.choice((1, 3))):
        target = zone.rng.choice((host, somewhere(zone, at)))
        zone.add(sip, "SRV", f"{priority} 20 5060 {target}")
    zone.add(zone.name("_none._tcp", at), "SRV", "0 0 0 .")
    for flag, target in (("s", sip), ("a", host), ("", somewhere(zone, at)), ("u", dns.name.root)):
        pattern = "!^.*$!sip:a@example.invalid!" if flag == "u" else ""
        zone.add(at, "NAPTR", f'10 {zone.rng.randrange(100)} "{flag}" "E2U+sip" "{pattern}" {target}')
    alias = zone.rng.choice((host, somewhere(zone, at)))
    zone.add(zone.child("alias", at), "HTTPS", f"0 {alias}")
    zone.add(zone.child("alias2", at), "SVCB", f"0 {zone.child('alias3', at)}")
    zone.add(zone.child("alias3", at), "SVCB", f"1 {host} alpn=h2,h3 port=8443 ipv4hint=192.0.2.1")
    zone.add(host, "HTTPS", "1 . alpn=h2")
    zone.add(host, "HTTPS", f"2 {somewhere(zone, at)} port=444 ipv6hint=2001:db8::1")
    zone.add(at, "KX", f"10 {host}")
    zone.add(at, "AFSDB", f"1 {host}")
    zone.add(at, "RT", f"10 {host}")
    zone.add(at, "RP", f"{host} {zone.child('text', at)}")
    zone.add(at, "PX", f"10 {host} {host}")
    zone.add(zone.child("text", at), "TXT", '"who"')


def other_types(zone: ZoneDraft, at: Name) -> None:
    """Types that no answer treats apart, known and unknown, empty data among them."""
    data = {
        "HINFO": '"PC" "Linux"',
        "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "CAA": '0 issue "ca.example.invalid"',
        "TLSA": "3 1 1 " + "ab" * 32,
        "SSHFP": "4 2 " + "cd" * 32,
        "CERT": "1 2 3 AAAA",
        "DHCID": "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
        "URI": '10 1 "https://example.invalid/"',
        "EUI48": "00-00-5e-00-53-2a",
        "PTR": str(somewhere(zone, at)),
        "TYPE14": two_names(somewhere(zone, at), somewhere(zone, at)),
        "SPF": '"v=spf1 -all"',
        "OPENPGPKEY": "AAAA",
        "CDS": "1 8 2 " + "ab" * 32,
        "TYPE65280": f"\\# {zone.rng.choice(('0', '1 00', '4 c00c0001', '20 ' + 'ff' * 20))}",
        "TYPE65534": "\\# 3 036162",
        "TYPE1000": "\\# 0",
        "TYPE300": "\\# 300 " + "7a" * 300,
    }
    for rdtype in zone.rng.sample(sorted(data), 9):
        zone.add(zone.rng.choice((at, zone.child(zone.label(), at))), rdtype, data[rdtype])


def two_names(first: Name, second: Name) -> str:
    """The data of an MINFO record, a type of RFC 1035 that dnspython does not know."""
    octets = first.to_wire() + second.to_wire()
    return f"\\# {len(octets)} {octets.hex()}"


def many_types(zone: ZoneDraft, at: Name) -> None:
    """One name with every common type."""
    owner = zone.child("many", at)
    services(zone, owner)
    other_types(zone, owner)
    mail(zone, owner)
    for _ in range(3):
        zone.address(owner)


def wildcard(zone: ZoneDraft, at: Name) -> None:
    """A wildcard with data, names beside it, below it, and a second one further down."""
    star = zone.child("*", at)
    zone.address(star)
    if zone.rng.random() < 0.5:
        zone.add(star, "TXT", '"wild"')
    for text in zone.rng.sample(("a", "b.a", "c.b.a", "*.b", "a.*", "b.*.a", "x.*"), 3):
        zone.address(zone.name(text, at))


def wildcard_empty(zone: ZoneDraft, at: Name) -> None:
    """`*` that exists only because something is below it (RFC 4592 §2.2.2)."""
    zone.add(zone.name(zone.rng.choice(("a.*", "*.*", "a.b.*", "*.a.*")), at), "TXT", '"below an asterisk"')


def wildcard_double(zone: ZoneDraft, at: Name) -> None:
    """`*.*`, alone or with others around it."""
    zone.address(zone.name("*.*", at))
    for text in zone.rng.sample(("*", "a.*", "*.a", "a.*.*", "*.*.*", "a"), 2):
        zone.add(zone.name(text, at), "TXT", f'"{text}"')


def wildcard_cname(zone: ZoneDraft, at: Name) -> None:
    """A wildcard alias: to data, to what it covers itself, elsewhere."""
    target = zone.rng.choice((zone.child("a", at), zone.child("nothere", at), somewhere(zone, at), zone.child("*", at)))
    zone.add(zone.child("*", at), "CNAME", target)
    zone.address(zone.child("a", at))
    other = zone.child("other", at)
    zone.add(zone.child("*", other), "CNAME", zone.name("y.other2", at))
    zone.add(zone.name("*.other2", at), "CNAME", zone.rng.choice((zone.name("y.other", at), zone.child("a", at))))


def wildcard_data(zone: ZoneDraft, at: Name) -> None:
    """Wildcards of types that name hosts."""
    star = zone.child("*", at)
    host = zone.child("mail", at)
    zone.address(host)
    rdtype, data = zone.rng.choice((("MX", f"10 {host}"), ("SRV", f"1 1 25 {host}"), ("HTTPS", f"1 {host}")))
    zone.add(star, rdtype, data)
    zone.add(star, "TYPE65280", "\\# 2 abcd")


def wildcard_ns(zone: ZoneDraft, at: Name) -> None:
    """A wildcard NS, which BIND does not load (RFC 4592 §4.2)."""
    if zone.signing:
        return
    zone.may_delegate_wildcards = True
    zone.not_loaded_by.add(BIND)
    star = zone.child("*", at)
    zone.add(star, "NS", zone.child("ns1", at))
    zone.address(zone.child("ns1", at))
    if zone.rng.random() < 0.5:
        zone.add(star, "TXT", '"beside NS"')
    if zone.rng.random() < 0.3:
        zone.address(zone.child("a", star))


def wildcard_dname(zone: ZoneDraft, at: Name) -> None:
    """A wildcard DNAME (RFC 4592 §4.4)."""
    zone.add(zone.child("*", at), "DNAME", somewhere(zone, at))
    zone.address(zone.child("a", at))


def empty_nonterminals(zone: ZoneDraft, at: Name) -> None:
    """Names only above other names."""
    zone.add(zone.name("a.b.c.d", at), "TXT", '"deep"')
    zone.address(zone.name("x.y.z.b.c.d", at))


def delegation(zone: ZoneDraft, at: Name) -> None:
    """A cut with every kind of server: below the cut, beside it, below another cut, without address, outside."""
    cut = zone.child(zone.rng.choice(("sub", "a", "b")), at)
    other = zone.child("cut2", at)
    servers = [
        zone.child("ns1", cut), zone.name("ns.deep", cut), cut, zone.child("ns1", at), zone.child("ns1", other),
        zone.child("noglue", cut), zone.child("noglue", at), dns.name.from_text(OUTSIDE[1]), zone.origin,
        zone.child("ns1"), *zone.friends[:1],
    ]  # fmt: skip
    for server in zone.rng.sample(servers, zone.rng.choice((1, 2, 3, 5))):
        zone.add(cut, "NS", server)
        if server.is_subdomain(at) and "noglue" not in server.to_text():
            zone.address(server, six=False)
            if zone.rng.random() < 0.4:
                zone.address(server, six=True)
    zone.add(other, "NS", zone.rng.choice((zone.child("ns1", cut), zone.child("ns2", other))))
    zone.address(zone.child("ns2", other))
    if zone.rng.random() < 0.5:
        for _ in range(zone.rng.choice((1, 2))):
            zone.add(cut, "DS", f"{zone.rng.randrange(65536)} 13 2 {zone.rng.randbytes(32).hex()}")


def occluded(zone: ZoneDraft, at: Name) -> None:
    """Data at and below a cut that only those below it may give out."""
    cut = zone.child("occ", at)
    zone.add(cut, "NS", zone.child("ns", cut))
    zone.address(zone.child("ns", cut))
    for text in zone.rng.sample(("a", "b.a", "*", "www", "*.a"), 3):
        zone.address(zone.name(text, cut))
    zone.add(zone.child("alias", cut), "CNAME", zone.child("www"))
    zone.add(zone.child("deeper", cut), "NS", zone.name("ns.deeper", cut))
    zone.address(zone.name("ns.deeper", cut))
    zone.add(zone.child("moved", cut), "DNAME", zone.origin)
    if zone.rng.random() < 0.3:
        zone.add(cut, "NS", zone.name("ns.wild", cut))
        zone.address(zone.name("*.wild", cut))
    if zone.rng.random() < 0.5:
        zone.add(cut, "TXT", '"at the cut"')
        zone.add(cut, "MX", f"5 {zone.child('www', cut)}")
        zone.address(cut)
    if zone.rng.random() < 0.5:
        zone.add(zone.child("deeper", cut), "DS", f"1 13 2 {'ab' * 32}")


def large_delegation(zone: ZoneDraft, at: Name) -> None:
    """A referral with more glue than small answers hold."""
    cut = zone.child("bigcut", at)
    inside = zone.rng.random() < 0.7
    for number in range(zone.rng.choice((8, 13, 30))):
        server = zone.child(f"nameserver-{number}", cut if inside or number % 2 else at)
        zone.add(cut, "NS", server)
        zone.address(server, six=False)
        zone.address(server, six=True)


def dname(zone: ZoneDraft, at: Name) -> None:
    """A DNAME into the zone, out of it, into another zone of the server; data beside it."""
    owner = zone.child(zone.rng.choice(("d", "moved")), at)
    place = zone.child("here", at)
    zone.address(zone.child("a", place))
    zone.address(zone.name("c.b", place))
    zone.add(zone.child("alias", place), "CNAME", zone.child("a", place))
    zone.add(zone.child("away", place), "CNAME", dns.name.from_text(OUTSIDE[0]))
    zone.add(owner, "DNAME", zone.rng.choice((place, place, somewhere(zone, at), dns.name.from_text(OUTSIDE[2]))))
    if zone.rng.random() < 0.5:
        zone.address(owner)
        zone.add(owner, "TXT", '"beside"')
    if zone.rng.random() < 0.3:
        zone.add(zone.child("todname", at), "CNAME", zone.child("a", owner))
        zone.add(zone.child("todname2", at), "CNAME", owner)


def dname_chain(zone: ZoneDraft, at: Name) -> None:
    """DNAMEs one after another, to one another, to themselves."""
    count = zone.rng.choice((2, 3, 6))
    for number in range(count):
        last = number == count - 1
        target = (
            zone.rng.choice((zone.child("d0", at), zone.child("end", at))) if last else zone.child(f"d{number + 1}", at)
        )
        zone.add(zone.child(f"d{number}", at), "DNAME", target)
    zone.address(zone.name("a.end", at))
    zone.add(zone.child("grow", at), "DNAME", zone.name("x.grow", at))
    zone.add(zone.child("self", at), "DNAME", zone.child("self", at))
    zone.add(zone.child("up", at), "DNAME", at)
    zone.add(zone.child("root", at), "DNAME", dns.name.root)


def dname_overflow(zone: ZoneDraft, at: Name) -> None:
    """A DNAME whose target is so long that few names fit before it (RFC 6672 §2.2)."""
    target = fill(zone, zone.child("end", at), zone.rng.choice((200, 240, 250, 253, 255)))
    zone.add(zone.child("long", at), "DNAME", target)


def apex_dname(zone: ZoneDraft, at: Name) -> None:
    """A DNAME at the apex: nothing but the apex is left (RFC 6672 §2.3)."""
    zone.add(zone.origin, "DNAME", zone.rng.choice((dns.name.from_text(OUTSIDE[2]), *zone.friends[:3])))


def cname_chain(zone: ZoneDraft, at: Name) -> None:
    """Aliases of aliases, to data, to nothing, in circles, across cuts, wildcards, DNAMEs and zones."""
    length = zone.rng.choice((1, 2, 3, 5, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 25))
    for number in range(length):
        zone.add(zone.child(f"c{number}", at), "CNAME", zone.child(f"c{number + 1}", at))
    end = zone.child(f"c{length}", at)
    kind = zone.rng.randrange(8)
    if kind == 0:
        zone.add(end, "CNAME", zone.child(f"c{zone.rng.randrange(length)}", at))
    elif kind == 1:
        zone.add(end, "CNAME", somewhere(zone, at))
    elif kind == 2:
        zone.add(end, "NS", zone.child("ns", end))
        zone.address(zone.child("ns", end))
    elif kind == 3:
        zone.add(end, "TXT", '"no address here"')
    elif kind < 6:
        zone.address(end)
        zone.address(end)
    zone.add(zone.child("cself", at), "CNAME", zone.child("cself", at))
    zone.add(zone.child("cane", at), "CNAME", zone.child("able", at))
    zone.add(zone.child("able", at), "CNAME", zone.child("cane", at))


def cnames(zone: ZoneDraft, at: Name) -> None:
    """Aliases to anywhere."""
    for number in range(6):
        target = somewhere(zone, at)
        if zone.rng.random() < 0.5:
            target = below(zone, target)
        zone.add(zone.child(f"alias{number}", at), "CNAME", target)
    for number, friend in enumerate(zone.rng.sample(zone.friends, min(4, len(zone.friends)))):
        zone.add(zone.child(f"friend{number}", at), "CNAME", friend)


def below(zone: ZoneDraft, name: Name) -> Name:
    """A name below another, where there is room."""
    try:
        return zone.child(zone.label(), name)
    except dns.exception.DNSException:
        return name


def large_rrsets(zone: ZoneDraft, at: Name) -> None:
    """RRsets around the sizes at which answers are cut."""
    size = zone.rng.choice((28, 29, 30, 31, 70, 73, 74, 75, 76, 90, 200))
    for number in range(size):
        zone.add(zone.child("bigaddr", at), "A", f"10.{zone.rng.randrange(256)}.{number}.{zone.rng.randrange(256)}")
    for number in range(zone.rng.choice((17, 42, 60, 150))):
        zone.add(zone.child("bigaddr6", at), "AAAA", f"2001:db8::{number + 1:x}")
    for number in range(zone.rng.choice((10, 30, 60))):
        zone.add(zone.child("bigmx", at), "MX", f"{number} mx{number}.{zone.child('bigmx', at)}")
        zone.address(zone.name(f"mx{number}.bigmx", at))
    for number in range(zone.rng.choice((10, 40))):
        zone.add(zone.child("bigsrv", at), "SRV", f"{number} 0 1 target{number}.{zone.child('bigsrv', at)}")
    zone.add(zone.child("tobig", at), "CNAME", zone.child("bigaddr", at))


def texts(zone: ZoneDraft, at: Name) -> None:
    """TXT of many sizes, around every limit; empty strings, all octets."""
    room = 512 - 12 - 4 - 2 - 12 - len(zone.child("t0", at).to_wire())
    edns = 1232 - 12 - 4 - 2 - 12 - 11 - len(zone.child("t0", at).to_wire())
    for number, size in enumerate((1, 256, room, room + 1, room - 10, room - 11, edns, edns + 1, 3000)):
        zone.add_strings(zone.child(f"t{number}", at), strings(zone.rng, max(1, size + zone.rng.choice((-1, 0, 0, 1)))))
    zone.add_strings(zone.child("tempty", at), [b""])
    zone.add_strings(zone.child("tempty", at), [b"", b""])
    zone.add_strings(zone.child("tbytes", at), [bytes(range(256))[:255]])
    zone.add_strings(zone.child("tcase", at), [b"Case"])
    zone.add_strings(zone.child("tcase", at), [b"case"])


def strings(rng: random.Random, size: int) -> list[bytes]:
    """Character-strings that take `size` octets of rdata."""
    found = []
    while size > 0:
        length = min(size, 256) - 1
        found.append(bytes(rng.randrange(97, 123) for _ in range(length)))
        size -= length + 1
    return found


def fill(zone: ZoneDraft, below: Name, size: int, label_size: int = 63) -> Name:
    """A name of `size` octets on the wire below another; as it is where it has no room."""
    if zone.signing.startswith("nsec3"):
        size = min(size, 253)  # the tool that signs wants room for an asterisk below it
    name = below
    while (room := size - len(name.to_wire())) > 1:
        length = min(room - 1, label_size)
        if room - 1 - length == 1:
            length -= 1
        if length < 1:
            break
        name = zone.child("l" * length, name)
    return name


def long_names(zone: ZoneDraft, at: Name) -> None:
    """Names of 255 octets, of 63-octet labels, of single-octet labels; and aliases to them."""
    for label_size in (63, 1, zone.rng.randrange(2, 63)):
        name = fill(zone, at, zone.rng.choice((LONGEST, LONGEST, 254, 253)), label_size)
        zone.address(name)
        zone.add(zone.child(f"tolong{label_size}", at), "CNAME", name)
        zone.add(zone.child("longmx", at), "MX", f"1 {name}")
    zone.address(zone.child("m" * 63, at))
    zone.add(zone.child("*", zone.child("n" * 63, at)), "TXT", '"wild below a long label"')


def odd_labels(zone: ZoneDraft, at: Name) -> None:
    """Labels of any octets: dots and backslashes in them, zero, non-ASCII, an asterisk that is no wildcard."""
    for octets in zone.rng.sample(ODD_LABELS, 8):
        owner = zone.child(octets, at)
        zone.address(owner)
        if zone.rng.random() < 0.3:
            zone.add(zone.child("toodd", at), "CNAME", owner)
        if zone.rng.random() < 0.3:
            zone.address(zone.child("a", owner))


def mixed_case(zone: ZoneDraft, at: Name) -> None:
    """Owners and targets in letters of both cases, not always the same."""
    host = zone.child("HoSt", at)
    zone.address(host)
    zone.add(zone.child("Alias", at), "CNAME", zone.child("hOSt", at))
    zone.add(zone.child("CUT", at), "NS", zone.name("Ns.cut", at))
    zone.address(zone.name("nS.Cut", at))
    zone.add(zone.child("Mx", at), "MX", f"1 {zone.child('HOST', at)}")
    zone.add(zone.name("*.Wild", at), "CNAME", zone.child("HOST", at))
    zone.add(zone.child("Dname", at), "DNAME", zone.child("TARGET", at))
    zone.address(zone.name("a.target", at))
    zone.add(zone.name("up.ENT", at), "TXT", '"x"')


def apex(zone: ZoneDraft, at: Name) -> None:
    """What stands at an apex, and servers named in every way."""
    for rdtype, data in (
        ("MX", f"10 {zone.child('mail')}"), ("TXT", '"v=spf1 -all"'), ("A", "192.0.2.80"), ("AAAA", "2001:db8::80"),
        ("CAA", '0 issue ";"'), ("HTTPS", "1 . alpn=h2"), ("NS", str(zone.child("ns2"))), ("NS", OUTSIDE[1]),
        ("NS", str(zone.name("ns.apexcut"))), ("TYPE65280", "\\# 1 07"),
    ):  # fmt: skip
        if zone.rng.random() < 0.5:
            zone.add(zone.origin, rdtype, data)
    zone.address(zone.child("ns2"))
    zone.address(zone.child("mail"))
    zone.add(zone.name("apexcut"), "NS", zone.name("ns.apexcut"))
    zone.address(zone.name("ns.apexcut"))


def apex_wildcard(zone: ZoneDraft, at: Name) -> None:
    """`*` directly below the apex."""
    star = zone.child("*")
    if zone.rng.random() < 0.5:
        zone.add(star, "CNAME", somewhere(zone, zone.origin))
    zone.address(star)
    zone.add(star, "TXT", '"anything"')


def soup(zone: ZoneDraft, at: Name) -> None:
    """Random names of a tiny alphabet with random types: combinations that nobody thought of."""
    alphabet = ("a", "b", "*", "c")
    kinds = ("A", "A", "TXT", "CNAME", "NS", "DNAME", "MX", "DS", "AAAA", "SRV", "TYPE65280")
    for _ in range(zone.rng.choice((5, 12, 30))):
        owner = soup_name(zone, at, alphabet)
        target = somewhere(zone, at) if zone.rng.random() < 0.3 else soup_name(zone, at, alphabet)
        rdtype = zone.rng.choice(kinds)
        data = {
            "A": f"192.0.2.{zone.rng.randrange(256)}", "AAAA": "2001:db8::53", "TXT": '"soup"', "MX": f"1 {target}",
            "SRV": f"1 1 1 {target}", "DS": f"1 13 2 {'ab' * 32}", "TYPE65280": "\\# 1 01",
        }.get(rdtype, str(target))  # fmt: skip
        zone.add(owner, rdtype, data)


def soup_name(zone: ZoneDraft, at: Name, alphabet: tuple[str, ...]) -> Name:
    name = at
    for _ in range(zone.rng.choice((1, 1, 2, 2, 3, 4))):
        name = zone.child(zone.rng.choice(alphabet), name)
    return name


SHAPES: tuple[Shape, ...] = (
    hosts, mail, services, other_types, many_types, wildcard, wildcard_empty, wildcard_double, wildcard_cname,
    wildcard_data, wildcard_dname, empty_nonterminals, delegation, delegation, occluded, large_delegation, dname,
    dname_chain, dname_overflow, cname_chain, cname_chain, cnames, large_rrsets, texts, long_names, odd_labels,
    mixed_case, apex, apex_wildcard, soup, soup, soup,
)  # fmt: skip
# Some server does not load a zone with one of these, so they are kept to few zones.
RARE: tuple[Shape, ...] = (wildcard_ns,)
