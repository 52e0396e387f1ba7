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
from support.short_cut_pair import CLIENT, LONG, NOW, ORIGINS, OTHER, SIGNED, Pair, respell
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.query.counters import COUNTERS
from nameserver.query.exchange import QuerySettings
from nameserver.query.rate_limit import RateLimiter, RateLimits
from nameserver.query.views import View
from nameserver.query.zoneset import ZoneState
from nameserver.wire import codes
from nameserver.wire.cookie import judge, judge_many, make
from nameserver.zone.contents import Zone
from nameserver.zone.node import HASHED_KEY

LABELS = ["www", "many", "big", "alias", "away", "deep", "under", "none", "wild", "x", "shout", "cut", "ns", "below",
          "moved", "sub", "nowhere", "kid", "unsafe", "safe", "empty", "hostmaster", "mail", "*", "a\0b", "a" * 63,
          "zz"]  # fmt: skip
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
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 52, 99, 255, 251, 252, 65, 65280]


@st.composite
def messages(draw) -> bytes:
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=3))
    name = b"".join(bytes((len(label),)) + label.encode("latin-1") for label in labels) + draw(st.sampled_from(ORIGINS))
    if draw(st.booleans()):
        name = respell(name, random.Random(draw(st.integers(0, 3))))
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
            st.tuples(st.sampled_from(ORIGINS[:2]), st.sampled_from([*ZoneState, codes.REFUSED, codes.SERVFAIL, 0])),
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
