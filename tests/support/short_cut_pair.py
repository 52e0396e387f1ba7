"""A server with the short cuts to answers and one without, of the same zones, told and asked the same."""

import random
from collections.abc import Mapping
from ipaddress import ip_address

from support.pipelines import pipeline_of, served, served_zone
from support.signing import Nsec3, signed_nodes

from nameserver.query.cookies import split
from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.shortcut import Entry
from nameserver.query.shortcuts import Shortcuts
from nameserver.query.zoneset import ZoneState
from nameserver.zone.contents import Zone

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
LONG = "h" * 32  # as long as the label of a hash
KID = """
@ 3600 SOA ns.Kid host 9 3600 600 86400 60
@ NS ns
@ A 192.0.2.13
ns A 192.0.2.10
"""
SIGNED = Zone.from_nodes(*signed_nodes(f"{OTHER}\n{LONG} A 192.0.2.12", "signed.test.", Nsec3()), 1)
ORIGINS = [
    b"\x07example\x04test\0",
    b"\x05other\x04test\0",
    b"\x06signed\x04test\0",
    b"\x03kid\x05other\x04test\0",
    b"\x04test\0",
    b"\x03org\0",
    b"\0",
]


def respell(name: bytes, chooser: random.Random) -> bytes:
    """A name with some of its letters in upper case."""
    return bytes(each - 32 if 97 <= each <= 122 and chooser.random() < 0.5 else each for each in name)


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

    def apply(self, origin: bytes, changes: Mapping[bytes, bytes | None]) -> None:
        """Put these nodes into a zone in both."""
        for pipeline in (self.plain, self.short):
            changed = pipeline.zones.exact(origin)
            assert changed is not None and changed.zone is not None
            redirected = changed.zone.apply(changes, changed.zone.generation + 1)
            pipeline.zones.changed(changed, None if redirected else changes)

    def nodes(self, origin: bytes) -> Mapping[bytes, bytes]:
        """What a zone holds."""
        held = self.plain.zones.exact(origin)
        assert held is not None and held.zone is not None
        return held.zone.nodes

    def change(self, origin: bytes, keys: list[bytes], donor: int) -> None:
        """Replace, add or take away nodes in both."""
        nodes = self.nodes(origin)
        node = nodes[sorted(nodes)[donor % len(nodes)]]
        self.apply(origin, {key: None if donor % 3 == 0 else node for key in keys if key})

    def set_state(self, origin: bytes, state: ZoneState | int) -> None:
        """A state, or an RCODE: by command, queries get that for a while, or, if it is 0, the zone again."""
        for pipeline in (self.plain, self.short):
            zone = pipeline.zones.exact(origin)
            assert zone is not None
            if isinstance(state, ZoneState):
                zone.state = state
            else:
                zone.paused = state
            pipeline.zones.changed(zone)
