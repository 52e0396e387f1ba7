"""What a kept answer depends on besides the records of the name asked for: it is given no more when that has changed.

NAMESERVER_CHURNS sets how many servers are changed at random, of which each takes a quarter of a second.
"""

import os
import random

import pytest
from support.pipelines import pipeline_of, served, served_zone
from support.short_cut_pair import KID, ORIGINS, OTHER, ZONE, Pair, respell
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ZoneState
from nameserver.wire import codes
from nameserver.zone.contents import Zone
from nameserver.zone.node import HAS_CASE

CHURNS = int(os.environ.get("NAMESERVER_CHURNS", "6"))

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
    pair.apply(IN_HOSTS, {host: pair.nodes(IN_HOSTS)[b"\5spare"]})
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
    top = b"\3top\4test\0"
    pair.apply(top, {b"\3kid": pair.nodes(top)[b"\5spare"]})
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


# --- at random --------------------------------------------------------------------------------------------------------

EXAMPLE = f"""{ZONE}
srv SRV 0 0 1 mail
svc HTTPS 0 svc2
svc2 HTTPS 1 mail
toapex CNAME @
tokid CNAME kid.other.test.
tosigned CNAME www.signed.test.
*.star A 192.0.2.1
*.cstar CNAME www
*.mxstar MX 1 mail
"""
IN_OTHER, IN_KID = f"{OTHER}m MX 1 mail", f"{KID}x CNAME @\ny CNAME other.test."
APEXES = [
    "@ 60 SOA mail.www hostmaster 8 3600 600 86400 30\n@ NS ns.other.test.\n@ A 192.0.2.200",
    "@ 60 SOA ns.other.test. x 9 3600 600 86400 30\n@ NS cut\n@ NS mail",
    "@ 3600 SOA ns.sub hostmaster 7 3600 600 86400 300\n@ NS ns.sub\n@ MX 5 www",
]
SIGNED_TEXTS = [
    f"{OTHER}\nmail A 192.0.2.3\nm MX 1 mail\n*.w A 192.0.2.9\nunsafe NS ns.unsafe\nns.unsafe A 192.0.2.14",
    f"{OTHER}\nwww TXT more\nm MX 1 www\n* TXT y",
    f"{OTHER}\nnew A 192.0.2.1\ncut NS ns.cut\nns.cut A 192.0.2.2\nx.empty A 192.0.2.15",
]
SIGNERS = [(Nsec3(),), (Nsec3(iterations=3, salt="abcd", opt_out=True),), (Nsec(),), ()]
WORDS = [
    "www", "many", "alias", "away", "deep", "none", "wild", "x", "cut", "ns", "below", "moved", "sub", "nope",
    "mail", "srv", "svc", "svc2", "toapex", "tokid", "tosigned", "y", "m", "new", "unsafe", "empty", "star",
    "cstar", "mxstar", "*", "w", "shout",
]  # fmt: skip
TYPES = [1, 1, 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 43, 46, 47, 65, 255, 99]
OPTS = [b"", b"", *(b"\0\0\x29" + each + b"\0\0\0" for each in (b"\4\xd0\0\0\0", b"\4\xd0\0\0\x80", b"\2\0\0\0\x80"))]


class Churn:
    """A pair whose zones change in every way that there is, and some questions that are asked over and over."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.signed = [signed_nodes(text, "signed.test.", *way) for text in SIGNED_TEXTS for way in SIGNERS]
        self.minimal = self.dice.random() < 0.6
        self.pair = Pair(self.dice.choice(["udp", "tcp"]))
        self.pair.serve_instead(self._pipeline(), self._pipeline())
        self.apexes = [served(text, "example.test.").zone.nodes[b""] for text in APEXES]
        self.questions = [self._question() for _ in range(60)]

    def _pipeline(self) -> Pipeline:
        signed = served_zone(Zone.from_nodes(*self.signed[0], 1))
        texts = ((EXAMPLE, "example.test."), (IN_OTHER, "other.test."), (IN_KID, "kid.other.test."))
        return pipeline_of(
            *(served(*each) for each in texts), signed, settings=QuerySettings(minimal_responses=self.minimal)
        )

    def _key(self, most: int) -> bytes:
        words = self.dice.choices(WORDS, k=self.dice.randint(0, most))
        return b"".join(bytes((len(word),)) + word.encode() for word in words)

    def _question(self) -> bytes:
        name, opt = self._key(3) + self.dice.choice(ORIGINS[:5]), self.dice.choice(OPTS)
        if self.dice.random() < 0.25:
            name = respell(name, self.dice)
        head = b"id\1\0\0\1\0\0\0\0\0" + (b"\1" if opt else b"\0")
        return head + name + self.dice.choice(TYPES).to_bytes(2, "big") + b"\0\1" + opt

    def some_nodes(self) -> None:
        """Of an unsigned zone, its apex among them."""
        origin = self.dice.choice([ORIGINS[0], ORIGINS[0], ORIGINS[1]])
        nodes = self.pair.nodes(origin)
        there = sorted(key for key, node in nodes.items() if key and not node[0] & HAS_CASE)
        if not there:
            return
        changes: dict[bytes, bytes | None] = {}
        for _ in range(self.dice.randint(1, 3)):
            key = self.dice.choice(there) if self.dice.random() < 0.5 else self._key(2)
            if key:
                changes[key] = None if self.dice.random() < 0.35 else nodes[self.dice.choice(there)]
        if origin == ORIGINS[0] and self.dice.random() < 0.2:
            changes[b""] = self.dice.choice(self.apexes)
        self.pair.apply(origin, changes)

    def signing(self) -> None:
        """All or part of the signed zone becomes what it is otherwise signed, or not at all."""
        (_, wanted), held = self.dice.choice(self.signed), self.pair.nodes(ORIGINS[2])
        share = self.dice.choice([1.0, 1.0, 0.3])
        keys = [key for key in sorted({*held, *wanted}) if self.dice.random() < share]
        self.pair.apply(ORIGINS[2], {key: wanted.get(key) for key in keys if held.get(key) != wanted.get(key)})

    def zones(self) -> None:
        """One below another goes or comes."""
        for pipeline in (self.pair.plain, self.pair.short):
            if pipeline.zones.exact(ORIGINS[3]) is None:
                pipeline.zones.add(served(IN_KID, "kid.other.test."))
            else:
                pipeline.zones.remove(ORIGINS[3])

    def state(self) -> None:
        """One expires, or is paused, or is answered again."""
        self.pair.set_state(
            self.dice.choice(ORIGINS[:3]), self.dice.choice([*ZoneState, codes.REFUSED, *[codes.NOERROR] * 4])
        )

    def run(self) -> None:
        """Change something, ask some of the questions, and so on."""
        for _ in range(60):
            what = self.dice.choices((self.some_nodes, self.signing, self.zones, self.state), (9, 4, 1, 1))
            what[0]()
            for message in self.dice.sample(self.questions, 20):
                for _ in range(self.dice.randint(1, 3)):
                    self.pair.ask(message)
        self.pair.same_counts()


@pytest.mark.parametrize("seed", range(CHURNS))
def test_no_answer_outlives_what_it_was_made_of(seed: int) -> None:
    Churn(seed).run()
