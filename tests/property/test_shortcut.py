"""Whatever the shortcut answers is what the pipeline answers, octet for octet, and it counts the same."""

import copy
import random
import struct
from ipaddress import ip_address

import dns.edns
import dns.flags
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import pipeline_of, question, served, served_zone
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.query.cookies import split
from nameserver.query.counters import COUNTERS
from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.rate_limit import RateLimiter, RateLimits
from nameserver.query.shortcut import Entry
from nameserver.query.shortcuts import Shortcuts
from nameserver.query.views import View
from nameserver.query.zoneset import ZoneState
from nameserver.wire.cookie import judge, judge_many, make
from nameserver.zone.contents import Zone
from nameserver.zone.node import HASHED_KEY

ZONE = """
@ 3600 SOA ns.sub hostmaster 7 3600 600 86400 300
@ NS ns.sub
@ NS ns.other.test.
@ MX 10 mail
@ TXT "apex"
ns.sub A 192.0.2.1
www 300 A 192.0.2.2
www AAAA 2001:db8::2
www TXT "one" "two"
many A 192.0.2.3
many A 192.0.2.4
many A 192.0.2.5
big TXT "{long}"
big TXT "2{long}"
big TXT "3{long}"
alias CNAME www
away CNAME www.other.test.
deep.under.none A 192.0.2.9
*.wild TXT "star"
x.wild A 192.0.2.8
Shout A 192.0.2.7
cut NS ns.cut
ns.cut A 192.0.2.6
below.cut A 192.0.2.66
moved DNAME sub
www.a\\000b A 192.0.2.65
""".replace("{long}", "x" * 200)
OTHER = """
@ 3600 SOA ns host 9 3600 600 86400 60
@ NS ns
ns A 192.0.2.10
www A 192.0.2.11
"""
LABELS = ["www", "many", "big", "alias", "away", "deep", "under", "none", "wild", "x", "shout", "cut", "ns", "below",
          "moved", "sub", "nowhere", "kid", "unsafe", "safe", "empty", "hostmaster", "mail", "*", "a\0b", "a" * 63,
          "zz"]  # fmt: skip
LONG = "h" * 32  # as long as the label of a hash
KID = """
@ 3600 SOA ns.Kid host 9 3600 600 86400 60
@ NS ns
@ A 192.0.2.13
ns A 192.0.2.10
"""
SIGNED = Zone.from_nodes(*signed_nodes(f"{OTHER}\n{LONG} A 192.0.2.12", "signed.test.", Nsec3()), 1)
CUTS = """
unsafe NS ns.unsafe
ns.unsafe A 192.0.2.14
safe NS ns.unsafe
safe DS 1 13 2 {digest}
x.empty A 192.0.2.15
""".replace("{digest}", "00" * 32)
SIGNED_ZONES = [
    Zone.from_nodes(*signed_nodes(f"{OTHER}\n{CUTS}", "signed.test.", *methods), 1)
    for methods in ((Nsec3(iterations=3, salt="abcd", opt_out=True),), (Nsec(),), (Nsec3(ttl=7), Nsec()), ())
]
WITH_WILDCARD = Zone.from_nodes(*signed_nodes(f"{OTHER}\n{LONG} A 192.0.2.12\n* TXT x", "signed.test.", Nsec3()), 1)
# The labels that stand for names in its chain are nobody's to ask for.
LABELS += [LONG]
LABELS += [key[1:].decode() for key in SIGNED.nodes if len(key) == HASHED_KEY]
ORIGINS = [
    b"\x07example\x04test\0",
    b"\x05other\x04test\0",
    b"\x06signed\x04test\0",
    b"\x03kid\x05other\x04test\0",
    b"\x04test\0",
    b"\x03org\0",
    b"\0",
]
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 52, 99, 255, 251, 252, 65, 65280]


def _respell(name: bytes, chooser: random.Random) -> bytes:
    return bytes(each - 32 if 97 <= each <= 122 and chooser.random() < 0.5 else each for each in name)


@st.composite
def messages(draw) -> bytes:
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=3))
    name = b"".join(bytes((len(label),)) + label.encode("latin-1") for label in labels) + draw(st.sampled_from(ORIGINS))
    if draw(st.booleans()):
        name = _respell(name, random.Random(draw(st.integers(0, 3))))
    flags = draw(st.sampled_from([b"\0\0", b"\1\0", b"\1\x10", b"\0\x20", b"\x28\0", b"\4\0", b"\x41\x41"]))
    question = name + draw(st.sampled_from(TYPES)).to_bytes(2, "big") + draw(st.sampled_from([b"\0\1"] * 9 + [b"\0\3"]))
    edns = draw(
        st.sampled_from(
            [
                b"",
                b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
                b"\0\0\x29\x02\0\0\0\x80\0\0\0",
                b"\0\0\x29\x04\xd0\0\0\x80\0\0\0",
                b"\0\0\x29\x10\0\0\1\0\0\0\0",
                b"\0\0\x29\x04\xd0\0\0\0\0\0\4\0\3\0\0",
                b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\xff\xff\0\0",
            ]
        )
    )
    message = draw(st.binary(min_size=2, max_size=2)) + flags + b"\0\1\0\0\0\0\0" + (b"\1" if edns else b"\0")
    message += question + edns
    if draw(st.integers(0, 19)) == 0:
        place = draw(st.integers(2, len(message) - 1))
        message = message[:place] + draw(st.binary(max_size=3)) + message[place + draw(st.integers(0, 2)) :]
    return message


CLIENT = ip_address("192.0.2.77")
NOW = 1_800_000_000


class Pair:
    """One server with the shortcut and one without, told the same."""

    def __init__(self, transport: str, signed: Zone = SIGNED, minimal: bool = True) -> None:
        self.transport = transport
        self.serve_instead(self._pipeline(signed, minimal), self._pipeline(signed, minimal))

    def serve_instead(self, plain: Pipeline, short: Pipeline) -> None:
        """Other zones, the same in both pipelines."""
        self.plain, self.short = plain, short
        self.shortcuts = Shortcuts(short, id)
        self.shortcut = self.shortcuts.of(self.transport, 4)
        self.cookies = self.shortcuts.with_cookies(self.transport, 4)

    @staticmethod
    def _pipeline(signed: Zone, minimal: bool) -> Pipeline:
        copied = Zone.from_nodes(signed.apex, signed.nodes, 1)
        zones = (
            served(ZONE, "example.test."),
            served(OTHER, "other.test."),
            served(KID, "kid.other.test."),
            served_zone(copied),
        )
        return pipeline_of(*zones, settings=QuerySettings(minimal_responses=minimal))

    def ask(self, message: bytes, now: int = NOW) -> bytes | None:
        expected = self.plain.handle(message, CLIENT, 5353, self.transport, now).reply
        body = self._by_shortcut(message, now)
        if body is None:
            outcome = self.short.handle(message, CLIENT, 5353, self.transport, now)
            if not outcome.cookie:
                self.shortcut.learn(message[2:], outcome)
            elif (parts := split(message[2:])) is not None:
                self.cookies.learn(parts[0], outcome)
            assert outcome.reply == expected
        else:
            assert message[:2] + body == expected
        return body

    def _by_shortcut(self, message: bytes, now: int) -> bytes | None:
        parts = split(message[2:])
        entry = self.shortcut.find(message[2:]) if parts is None else self.cookies.find(*parts)
        if entry is None or (parts is None and not self._allowed(entry, message[2:], now)):
            return None
        assert entry[2] == len(entry[4])
        body: bytes | None = entry[4]
        if parts is not None:
            body = self.cookies.bodies([body], [parts[1]], [CLIENT.packed], now)[0]
        self.shortcut.tally.counts[entry[3]] += body is not None
        return body

    def _allowed(self, entry: Entry, asked: bytes, now: int) -> bool:
        return self.transport == "tcp" or self.shortcut.allows(entry, asked, CLIENT, now)

    def same_counts(self) -> None:
        self.shortcuts.count()
        assert list(self.plain.counters) == list(self.short.counters)
        assert [(z.queries, z.control_queries) for z in self.plain.zones] == [
            (z.queries, z.control_queries) for z in self.short.zones
        ]

    def change(self, origin: bytes, keys: list[bytes], donor: int) -> None:
        """Replace, add or take away nodes in both."""
        for pipeline in (self.plain, self.short):
            zone = pipeline.zones.exact(origin)
            assert zone is not None and zone.zone is not None
            spare = sorted(zone.zone.nodes)
            changes = {}
            for key in keys:
                if key:
                    node = zone.zone.nodes[spare[donor % len(spare)]]
                    changes[key] = None if donor % 3 == 0 else node
            redirected = zone.zone.apply(changes, zone.zone.generation + 1)
            pipeline.zones.changed(zone, None if redirected else changes)

    def set_state(self, origin: bytes, state: ZoneState) -> None:
        for pipeline in (self.plain, self.short):
            zone = pipeline.zones.exact(origin)
            assert zone is not None
            zone.state = state
            pipeline.zones.changed(zone)


CHANGES = st.tuples(
    st.sampled_from(ORIGINS[:2]),
    st.lists(
        st.sampled_from(
            [b"\3www", b"\3cut", b"\4many", b"\3new", b"\4none", b"\1*", b"\5moved", b"\7nowhere", b"\3www\3a\0b"]
        ),
        max_size=3,
    ),
    st.integers(0, 40),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["udp", "tcp"]),
    st.sampled_from([SIGNED, WITH_WILDCARD, *SIGNED_ZONES]),
    st.booleans(),
    st.lists(
        st.one_of(
            st.lists(messages(), min_size=1, max_size=12),
            CHANGES,
            st.tuples(st.sampled_from(ORIGINS[:2]), st.sampled_from(list(ZoneState))),
        ),
        max_size=8,
    ),
)
def test_the_shortcut_says_what_the_pipeline_says(transport, signed, minimal, steps) -> None:
    pair = Pair(transport, signed, minimal=minimal)
    for step in steps:
        if isinstance(step, list):
            for message in step * 3:  # first seen, then learnt, then kept
                pair.ask(message)
        elif len(step) == 3:
            pair.change(*step)
        else:
            pair.set_state(*step)
    pair.same_counts()


@pytest.mark.parametrize("key", [b"\3www\3a\0b", b"\3www", b"\3a\0b\2xx"])
def test_an_answer_goes_with_the_records_it_was_made_of_whatever_octets_its_name_has(key) -> None:
    pair = Pair("udp")
    message = b"id\0\0\0\1\0\0\0\0\0\0" + key + ORIGINS[0] + b"\0\1\0\1"
    for donor in (1, 3, 4, 6):  # there, gone, there, gone
        pair.change(ORIGINS[0], [key, b""], donor)
        for _ in range(3):
            pair.ask(message)


@pytest.mark.parametrize(("transport", "size"), [("udp", 4000), ("tcp", 60_000)])
def test_long_messages_that_are_all_different_are_not_kept(transport, size) -> None:
    """Options that nobody knows: they change no answer, and could fill the memory with questions."""
    pair = Pair(transport)
    question = b"id\0\0\0\1\0\0\0\0\0\1\3www" + ORIGINS[0] + b"\0\1\0\1"
    for number in range(50):
        option = b"\xfd\xe9" + struct.pack("!HI", size, number) + bytes(size - 4)
        for _ in range(3):
            pair.ask(question + b"\0\0\x29\x04\xd0\0\0\0\0" + struct.pack("!H", len(option)) + option)
    assert sum(map(len, pair.shortcut.entries)) == 0


def test_answers_are_counted_with_their_messages() -> None:
    pair = Pair("udp")
    for number in range(200):
        label = b"%04d" % number
        for _ in range(3):
            pair.ask(b"id\0\0\0\1\0\0\0\0\0\0\4" + label + b"\5moved" + ORIGINS[0] + b"\0\x10\0\1")
    held = pair.shortcut.entries
    assert held and pair.shortcut._octets == sum(len(asked) + entry[2] for asked, entry in held.items())


def test_of_composed_answers_few_are_kept_and_these_brought_up_to_date(monkeypatch) -> None:
    monkeypatch.setattr("nameserver.query.shortcut.MOST_POPULAR", 20)
    pair = Pair("udp")
    shortcut, held = pair.shortcut, pair.shortcut.entries
    messages = [b"\0\0\0\1\0\0\0\0\0\0\4%04d\4wild" % number + ORIGINS[0] + b"\0\x10\0\1" for number in range(200)]
    for turn in range(3):
        for message in messages:
            for _ in range(2):
                pair.ask(b"id" + message)
                composed = shortcut.compose(message)
                assert composed is not None
                shortcut.keep(message, composed)
                assert len(held) <= 20 and shortcut._octets == sum(len(each) + entry[2] for each, entry in held.items())
        assert len(held) == 20 and not shortcut._order
        before = {message: entry[0] for message, entry in held.items()}
        pair.change(ORIGINS[0], [b"\3www"], turn)
        for message in before:
            pair.ask(b"id" + message)
            shortcut.keep(message, shortcut.compose(message) or (b"", 0))
            assert held[message][0] == pair.short.zones.epoch > before[message]


@pytest.mark.parametrize("size", [512, 900, 1232])
@pytest.mark.parametrize("signed", SIGNED_ZONES)
def test_proofs_are_put_together_as_the_pipeline_does(signed, size) -> None:
    """Names of every length, in both spellings, also such as are as long as a hash or as name servers' labels."""
    pair = Pair("udp", signed)
    edns = b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0\x80\0\0\0"
    above = [b"", b"\6unsafe", b"\4safe", b"\5empty", b"\4none", b"\5empty\5empty"]
    labels = [b"ns", b"www", b"x", *(bytes([97 + size % 26]) * size for size in (1, 2, 3, 6, 31, 32, 33, 63))]
    for rdtype in (1, 28, 15, 2):
        for key in [bytes((len(label),)) + label + parent for label in labels for parent in above]:
            for name in (key + signed.apex, (key + signed.apex).upper()):
                for _ in range(3):
                    pair.ask(b"id\0\0\0\1\0\0\0\0\0\1" + name + rdtype.to_bytes(2, "big") + b"\0\1" + edns)
    pair.same_counts()


@pytest.mark.parametrize("minimal", [True, False])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_every_name_and_type_of_a_zone_is_answered_as_the_pipeline_does(transport, minimal) -> None:
    pair = Pair(transport, minimal=minimal)
    served_there = pair.plain.zones.exact(ORIGINS[0])
    assert served_there is not None and served_there.zone is not None
    for key in [*served_there.zone.nodes, b"\7nowhere", b"\4none"]:
        for rdtype in TYPES:
            for name in (key + ORIGINS[0], (key + ORIGINS[0]).upper()):
                for _ in range(3):
                    pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + name + rdtype.to_bytes(2, "big") + b"\0\1")


def test_a_negative_answer_that_had_to_be_packed_tighter_is_not_given_to_a_name_it_does_not_fit() -> None:
    """Its SOA points into the question, at a label that the next question has not."""
    origin = ".".join((60 * "l", 60 * "o", 60 * "n", 50 * "g")) + "."
    text = "@ 3600 SOA NS1 hostmaster 7 3600 600 86400 300\n@ NS ns.other.test."
    pair = Pair("udp")
    pair.serve_instead(pipeline_of(served(text, origin)), pipeline_of(served(text, origin)))
    apex = next(iter(pair.plain.zones)).name.upper()
    for label in (b"\3NS1", b"\3XXX", b"\3Ns1", b"\3xXx"):
        for rdtype in (1, 15):
            pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + label + apex + rdtype.to_bytes(2, "big") + b"\0\1")


def test_the_root_zone_s_denials_are_the_pipeline_s() -> None:
    """Its name is shorter than a pointer to it."""
    root = Zone.from_nodes(*signed_nodes(OTHER, ".", Nsec3()), 1)
    pair = Pair("udp")
    pair.serve_instead(*(pipeline_of(served_zone(Zone.from_nodes(root.apex, root.nodes, 1))) for _ in range(2)))
    for name in (b"\4none\0", b"\4more\0", b"\4NONE\0", b"\4MORE\0", b"\1a\4none\0", b"\1a\4more\0"):
        for rdtype in (1, 15):
            pair.ask(
                b"id\0\0\0\1\0\0\0\0\0\1" + name + rdtype.to_bytes(2, "big") + b"\0\1\0\0\x29\x04\xd0\0\0\x80\0\0\0"
            )


@pytest.mark.parametrize("name", [b"\3www", b"\4none", b"\1a\7nowhere"])
def test_every_combination_of_header_bits_is_answered_as_the_pipeline_does(name) -> None:
    pair = Pair("udp")
    for bits in range(0x800):
        message = b"id" + bits.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0" + name + ORIGINS[0] + b"\0\1\0\1"
        pair.ask(message)
        pair.ask(message)


@pytest.mark.parametrize("zone", [SIGNED, WITH_WILDCARD])
@pytest.mark.parametrize("opt", [b"", b"\0\0\x29\x04\xd0\0\0\0\0\0\0"])
def test_names_of_a_chain_are_no_shortcut_to_an_answer(zone, opt) -> None:
    """RFC 5155 §7.2.8: they do not exist, nor does anything below them."""
    long = b"\x20" + LONG.encode()
    hashed = next(key for key in zone.nodes if len(key) == HASHED_KEY and key != long)
    pair = Pair("udp", zone)
    head = b"\x12\x34\0\0\0\1\0\0\0\0\0" + (b"\1" if opt else b"\0")
    for key in (long, hashed, b"\1x" + long, b"\1x" + hashed):
        for rdtype in (1, 15, 16, 28):
            for _ in range(3):
                pair.ask(head + key + zone.apex + b"\0" + bytes([rdtype]) + b"\0\1" + opt)


def test_counters_are_the_pipelines() -> None:
    assert len(COUNTERS) == len(copy.copy(Pair("udp").plain.counters))


COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
WAYS = [
    {"rd": rd, **edns}
    for rd in (False, True)
    for edns in (
        {},
        *(
            {"edns": size, "want_dnssec": dnssec, **({"options": [option]} if option else {})}
            for size in (512, 600, 1232, 65535)
            for dnssec in (False, True)
            for option in (None, COOKIE, NSID)
        ),
    )
]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("name", ["www.signed.test.", "nope.signed.test.", "big.example.test.", "WWW.example.test."])
def test_what_is_kept_for_one_way_of_asking_is_given_to_no_other(transport: str, name: str) -> None:
    """C48: DO, the size, EDNS itself, RD, a cookie, NSID: each pair of ways, in either order, answered as if alone."""
    rdtype = "TXT" if name.startswith("big") else "A"
    for checking in (0, dns.flags.CD, dns.flags.AD):
        asked = [bytearray(question(name, rdtype, **way)) for way in WAYS]
        for each in asked:
            each[3] |= checking
        for order in (asked, asked[::-1]):
            pair = Pair(transport)
            for pipeline in (pair.plain, pair.short):
                pipeline.settings = QuerySettings(nsid=b"here", cookie_secrets=(bytes(16),))
            for each in (*order * 3, *order[::7]):  # learnt, kept, and then in any company
                pair.ask(bytes(each))
            assert pair.ask(bytes(order[0])) is not None, "nothing is kept"
            pair.same_counts()


def test_over_udp_and_tcp_different_answers_are_kept() -> None:
    """C48: the one is cut, the other whole."""
    pairs = {transport: Pair(transport) for transport in ("udp", "tcp")}
    for _ in range(3):
        for pair in pairs.values():
            pair.ask(question("big.example.test.", "TXT"))


SECRETS = bytes(range(16)), bytes(range(16, 32))
ELSEWHERE = ip_address("192.0.2.78")
MADE = [  # server cookies: good, of the second secret, older than half an hour, too old, of the future, another's
    make(b"client--", CLIENT, NOW, SECRETS[0]),
    make(b"client--", CLIENT, NOW - 1000, SECRETS[1]),
    make(b"client--", CLIENT, NOW - 1801, SECRETS[0]),
    make(b"client--", CLIENT, NOW - 3601, SECRETS[0]),
    make(b"client--", CLIENT, NOW + 301, SECRETS[0]),
    make(b"client--", ELSEWHERE, NOW, SECRETS[0]),
    make(b"another-", CLIENT, NOW, SECRETS[0]),
    bytes(16),
]
COOKIES = [b"client--", b"another-", *(b"client--" + made for made in MADE)]
COOKIES += [bytes(size) for size in (0, 7, 9, 15, 16, 40, 41)]
OPTIONS = [struct.pack("!HH", 10, len(cookie)) + cookie for cookie in COOKIES]
# Such as only seem to be a cookie, or have something beside it.
OPTIONS += [
    b"\0\x0a\0\x08client--\0\3\0\0",
    b"\0\3\0\0\0\x0a\0\x08client--",
    b"\0\x0c\0\x0c\0\x0a\0\x08client--",
    b"\0\x0a\0\x08client--\0\x0c\0\x0c\0\x0a\0\x08padding-",
    b"\0\x0a\0\x08client",
    b"\0\x0a\0\x18client--",
    b"\0\x0a\0\x08",
    b"",
]


@pytest.mark.parametrize("secrets", [(), SECRETS])
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_cookies_of_all_shapes_are_answered_as_the_pipeline_does(transport: str, required: bool, secrets) -> None:
    pair = Pair(transport, SIGNED_ZONES[0])
    for pipeline in (pair.plain, pair.short):
        pipeline.settings = QuerySettings(nsid=b"here", cookie_secrets=secrets, require_cookies=required)
    names = [b"\3www" + ORIGINS[0], b"\3WWW" + ORIGINS[0], b"\4nope" + ORIGINS[1], b"\5alias" + ORIGINS[0]]
    names += [b"\4nope" + ORIGINS[2], b"\1x\6unsafe" + ORIGINS[2], b"\3org\0"]
    names += [b"\3big" + ORIGINS[0], b"\1x\3cut" + ORIGINS[0]]
    by_shortcut = 0
    for name in names:
        for head in (b"\2\0\0\0\0\0", b"\4\xd0\0\0\0\0", b"\4\xd0\0\0\x80\0", b"\4\xd0\0\1\0\0"):
            for option in OPTIONS * 3:
                opt = b"\0\0\x29" + head + struct.pack("!H", len(option)) + option
                question = name + (b"\0\x10" if b"big" in name else b"\0\1") + b"\0\1"
                by_shortcut += pair.ask(b"id\1\0\0\1\0\0\0\0\0\1" + question + opt) is not None
                pair.ask(b"id\1\0\0\1\0\0\0\0\0\1" + question + opt[:-2])
    assert by_shortcut > 200 or not secrets
    pair.same_counts()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(COOKIES), st.sampled_from([CLIENT, ELSEWHERE])), max_size=70), st.booleans())
def test_many_cookies_are_judged_as_each_of_them(sent, turned) -> None:
    secrets = SECRETS[::-1] if turned else SECRETS
    sent = [(option, address) for option, address in sent if len(option) == 8 or 16 <= len(option) <= 40]
    options, addresses = [option for option, _ in sent], [address.packed for _, address in sent]
    replies, good = judge_many(options, addresses, NOW, secrets)
    each = [judge(option, address, NOW, secrets) for option, address in sent]
    assert [(index in good, reply) for index, reply in enumerate(replies)] == each


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["udp", "tcp"]),
    st.integers(1, 4),
    st.lists(st.tuples(messages(), st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=12),
)
def test_rate_limits_let_through_drop_and_slip_the_same(transport: str, rate: int, asked) -> None:
    pair = Pair(transport)
    for pipeline in (pair.plain, pair.short):
        pipeline.limiter = RateLimiter(RateLimits(rate, places=1 << 20), b"the same for both")
    now = NOW
    for message, times, seconds in asked * 2:
        now += seconds
        for _ in range(times):
            pair.ask(message, now)
    pair.same_counts()


DELEGATIONS = """
cut NS ns.cut
cut NS ns2.sub.Cut
cut NS ns.side
cut NS ns.other.test.
cut NS host
ns.cut A 192.0.2.20
ns.cut AAAA 2001:db8::20
ns2.sub.cut A 192.0.2.21
Side NS ns.Side
ns.side A 192.0.2.22
sub.kept NS ns.kept
ns.kept A 192.0.2.23
below.sub.kept NS ns.kept
away NS ns.other.test.
away NS ns2.other.test.
secured NS ns.other.test.
secured DS 1 13 2 {digest}
full NS ns1.full
full NS ns2.full
full NS ns3.full
full NS ns.away
full NS a{long}.full
ns1.full AAAA 2001:db8::1
ns2.full AAAA 2001:db8::2
ns3.full AAAA 2001:db8::3
ns.away AAAA 2001:db8::4
a{long}.full AAAA 2001:db8::5
named DNAME other.test.
cut.named NS ns.cut
1 NS 2.1
2.1 A 192.0.2.24
""".replace("{digest}", "00" * 32).replace("{long}", "x" * 50)
CUT_KEYS = [b"\3cut", b"\4side", b"\3sub\4kept", b"\5below\3sub\4kept", b"\4away", b"\7secured", b"\4full", b"\5named",
            b"\3cut\5named", b"\1\x31"]  # fmt: skip
BELOW = [b"", b"\2ns", b"\3sub", b"\3ns2\3sub", b"\1x\2ns", b"\1a\1b\1c", b"\3www", b"\x3f" + b"l" * 63, b"\1\x32",
         b"\4host", b"\3cut", b"\1*", b"\x20" + b"h" * 32, (b"\x3f" + b"l" * 63) * 3]  # fmt: skip
EDNS = [b"", *(b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0" + do + b"\0\0\0" for size in (512, 700, 1232)
               for do in (b"\0", b"\x80"))]  # fmt: skip
CHAINS = {"unsigned": None, "NSEC": (Nsec(),), "NSEC3": (Nsec3(salt="ab"),), "opt-out": (Nsec3(opt_out=True),),
          "costly": (Nsec3(iterations=40),), "no chain": ()}  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_referrals_are_the_pipeline_s_at_every_length_and_size(transport: str, chain: str, order: int) -> None:
    """With glue inside and beside, DS or its denial, below what a server's name has, in both spellings."""
    text, methods = f"{OTHER}\n{DELEGATIONS}", CHAINS[chain]
    pair = Pair(transport)
    if methods is None:
        pair.serve_instead(*(pipeline_of(served(text, "deleg.test.")) for _ in range(2)))
    else:
        signed = Zone.from_nodes(*signed_nodes(text, "deleg.test.", *methods), 1)
        pair.serve_instead(*(pipeline_of(served_zone(Zone.from_nodes(signed.apex, signed.nodes, 1))) for _ in "ab"))
    names = [below + cut + b"\5deleg\4test\0" for cut in CUT_KEYS for below in BELOW]
    by_shortcut = 0
    for name in [*names, *map(bytes.upper, names)][::order]:
        if len(name) > 255:
            continue
        for edns in EDNS[::order]:
            head = b"id\1\0\0\1\0\0\0\0\0" + (b"\1" if edns else b"\0")
            for rdtype in (b"\0\1", b"\0\2"):
                by_shortcut += pair.ask(head + name + rdtype + b"\0\1" + edns) is not None
    assert by_shortcut > 700, "no referral is composed"
    pair.same_counts()


def test_a_referral_changes_with_its_delegation() -> None:
    pair = Pair("udp")
    message = b"id\0\0\0\1\0\0\0\0\0\0\1x\3cut" + ORIGINS[0] + b"\0\1\0\1"
    for donor in (0, 1, 4, 7, 6, 2, 8, 10, 0):
        for key in (b"\3cut", b"\2ns\3cut"):
            pair.change(ORIGINS[0], [key], donor)
            for _ in range(2):
                pair.ask(message)
    pair.same_counts()


def test_a_zone_that_comes_or_goes_below_another_is_seen_at_once() -> None:
    pair = Pair("udp")
    inner = "@ SOA ns host 1 1 1 1 1\n@ NS ns\nns A 192.0.2.99\nwww A 192.0.2.98"
    names = [b"\3www\1a\1b", b"\1a\1b", b"\1b", b"\3www", b"\4none\1b"]
    for step in range(5):
        for pipeline in (pair.plain, pair.short):
            if step % 2:
                pipeline.zones.add(served(inner, "a.b.example.test."))
            elif step:
                pipeline.zones.remove(b"\1a\1b" + ORIGINS[0])
        for name in names * 3:
            pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + name + ORIGINS[0] + b"\0\1\0\1")
    assert not pair.short.zones.above[b"\1b" + ORIGINS[0]]


def test_what_is_composed_is_bounded_in_number_and_octets(monkeypatch) -> None:
    """Views, negative answers and referrals: nobody can fill the memory by asking in many ways."""
    for name, most in (("MOST_VIEWS", 20), ("MOST_NEGATIVES", 30), ("MOST_REFERRALS", 2000)):
        monkeypatch.setattr(f"nameserver.query.composer.{name}", most)
    pair = Pair("udp")
    pair.serve_instead(*(pipeline_of(served(f"{OTHER}\n{DELEGATIONS}", "deleg.test.")) for _ in "ab"))
    composer = pair.shortcut._composer
    for rdtype in range(1, 60):
        for below in (b"", b"\1x", b"\2yy", b"\7nowhere"):
            for cut in (b"\3cut", b"\4away", b"\4full", b""):
                message = below + cut + b"\5deleg\4test\0" + rdtype.to_bytes(2, "big") + b"\0\1"
                pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + message)
                views = [view for each in composer._views.values() for view in each.values()]
                assert len(views) <= 20 and sum(len(view.negatives) for view in views) <= 31
                assert octets_kept(views) <= 4000
    for size in range(1, 60):
        for cut in (b"\3cut", b"\4away", b"\4full"):
            pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + bytes((size,)) + b"x" * size + cut + b"\5deleg\4test\0\0\1\0\1")
            assert octets_kept([view for each in composer._views.values() for view in each.values()]) <= 4000
    pair.same_counts()


def octets_kept(views: list[View]) -> int:
    """Those of all referrals, at every length of question."""
    kept = {id(each): each for view in views for table in view.referrals for each in table.values()}
    return sum(len(records) for each in kept.values() for records in each.by_size.values())


# --- what an answer depends on besides the records of the name asked for ---------------------------------------------

HOSTS = """
@ 3600 SOA ns.elsewhere.test. host 9 3600 600 86400 60
@ NS ns
mail MX 10 host
old AFSDB 1 host
srv SRV 0 0 53 host
svc HTTPS 1 host
alias HTTPS 0 host
spare A 192.0.2.1
"""
IN_HOSTS = b"\5hosts\4test\0"
MX, AFSDB, SRV, HTTPS, NS, DS = 15, 18, 33, 65, 2, 43


def ask_often(pair: Pair, name: bytes, rdtype: int) -> None:
    """First seen, then kept, then given again."""
    for _ in range(4):
        pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + name + rdtype.to_bytes(2, "big") + b"\0\1")


def put(pair: Pair, origin: bytes, key: bytes, spare: bytes) -> None:
    """A name gets the records of another one."""
    for pipeline in (pair.plain, pair.short):
        changed = pipeline.zones.exact(origin)
        assert changed is not None and changed.zone is not None
        changes = {key: changed.zone.nodes[spare]}
        redirected = changed.zone.apply(changes, changed.zone.generation + 1)
        pipeline.zones.changed(changed, None if redirected else changes)


@pytest.mark.parametrize("minimal", [True, False])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "rdtype", "host"),
    [
        (b"\4mail", MX, b"\4host"),
        (b"\3old", AFSDB, b"\4host"),
        (b"\3srv", SRV, b"\4host"),
        (b"\3svc", HTTPS, b"\4host"),
        (b"\5alias", HTTPS, b"\4host"),
        (b"", NS, b"\2ns"),
    ],
)
def test_the_address_of_a_host_goes_with_an_answer_from_when_it_is_there(
    name, rdtype, host, transport, minimal
) -> None:
    pair = Pair(transport)
    pair.serve_instead(*(pipeline_of(served(HOSTS, "hosts.test.")) for _ in "ab"))
    for pipeline in (pair.plain, pair.short):
        pipeline.settings = QuerySettings(minimal_responses=minimal)
    ask_often(pair, name + IN_HOSTS, rdtype)
    put(pair, IN_HOSTS, host, b"\5spare")
    ask_often(pair, name + IN_HOSTS, rdtype)
    pair.same_counts()


def test_ds_at_the_end_of_an_alias_to_an_apex_is_as_the_zone_above_has_it() -> None:
    """DS of a name that is an apex is the parent's to tell, also at the end of a chain (RFC 4035 §3.1.4.1)."""
    pair = Pair("udp")
    parent = "@ SOA ns host 9 3600 600 86400 60\n@ NS ns\nspare A 192.0.2.1"
    child = "@ SOA ns host 7 3600 600 86400 60\n@ NS ns\nto-apex CNAME @"
    pair.serve_instead(*(pipeline_of(served(parent, "top.test."), served(child, "kid.top.test.")) for _ in "ab"))
    asked = b"\7to-apex\3kid\3top\4test\0"
    ask_often(pair, asked, DS)  # the parent says that there is no such name
    put(pair, b"\3top\4test\0", b"\3kid", b"\5spare")
    ask_often(pair, asked, DS)
    pair.same_counts()


def test_where_it_is_known_no_more_which_owners_changed_no_old_answer_is_given(monkeypatch) -> None:
    monkeypatch.setattr("nameserver.query.zoneset.MOST_TOUCHED_IN_ALL", 3)
    pair = Pair("udp")
    keys, chooser = [b"\3www", b"\4many", b"\3new", b"\1x\4wild", b"\2ns", b"\4mail"], random.Random(7)
    for step in range(120):
        pair.change(chooser.choice(ORIGINS[:2]), [chooser.choice(keys)], chooser.randrange(40))
        for key in keys if step % 3 else keys[:2]:
            for origin in ORIGINS[:2]:
                for rdtype in (1, 15, 16):
                    pair.ask(b"id\0\0\0\1\0\0\0\0\0\0" + key + origin + rdtype.to_bytes(2, "big") + b"\0\1")
    pair.same_counts()
