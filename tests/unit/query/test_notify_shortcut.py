"""A NOTIFY that came before comes to the same by the shortcut as by the pipeline, counts included, or to nothing."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rrset
import dns.tsig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import counted, handle, pipeline_of, question, served
from support.served_zones import HEAD

from nameserver.query import notify_shortcut
from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import Outcome, QuerySettings
from nameserver.query.notify_shortcut import NotifyShortcut, is_notify
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ServedZone
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

PRIMARY, OTHER = "192.0.2.1", "192.0.2.2"
KEY = TsigKey(names.from_text("k"), "hmac-sha256", bytes(32))


def allowing(address: str) -> Acl:
    return Acl((AclRow(ip_network(address)),))


def zone(name: str = "example.com.", allowed: str = PRIMARY) -> ServedZone:
    return served(HEAD, name, allow_notify=allowing(allowed))


def notify(name: str = "example.com.", serial: int | None = None, ident: int = 1, rdtype: str = "SOA") -> bytes:
    message = dns.message.make_query(name, rdtype, use_edns=False, flags=dns.flags.AA, id=ident)
    message.set_opcode(dns.opcode.NOTIFY)
    if serial is not None:
        message.answer.append(dns.rrset.from_text(dns.name.from_text(name), 0, "IN", "SOA", f". . {serial} 1 1 1 1"))
    return message.to_wire()


@dataclass
class Server:
    """A pipeline with the shortcut before it."""

    pipeline: Pipeline
    short: NotifyShortcut = field(init=False)

    def __post_init__(self) -> None:
        self.short = NotifyShortcut(self.pipeline, "udp", 4)

    def handle(self, packet: bytes, client: str = PRIMARY) -> tuple[Outcome, bool]:
        """What comes of it, and whether the shortcut knew."""
        address = ip_address(client)
        known = self.short.find(packet, address)
        if known is not None:
            return known, True
        outcome = handle(self.pipeline, packet, client=client)
        self.short.learn(packet, address, outcome)
        return outcome, False


@pytest.fixture
def server() -> Server:
    return Server(pipeline_of(zone(), keys=[KEY]))


def test_the_second_of_its_kind_is_known_and_comes_to_the_same(server: Server) -> None:
    first, known = server.handle(notify(serial=5, ident=1))
    assert not known and first.notify is not None and first.notify.serial == 5
    second, known = server.handle(notify(serial=5, ident=2))
    assert known and second.notify == first.notify
    by_pipeline = handle(server.pipeline, notify(serial=5, ident=2), client=PRIMARY)
    assert second.reply is not None and by_pipeline.reply is not None
    assert second.reply[2:] == by_pipeline.reply[2:]


def test_another_serial_another_sender_or_another_zone_is_another_notify(server: Server) -> None:
    server.pipeline.zones.add(zone("example.net."))
    server.handle(notify(serial=5))
    for packet, client in ((notify(serial=6), PRIMARY), (notify(), PRIMARY), (notify("example.net."), PRIMARY)):
        assert not server.handle(packet, client)[1]
    refused, known = server.handle(notify(serial=5), OTHER)
    assert not known and refused.refused is not None


def test_a_notify_with_a_cookie_is_not_kept_since_its_reply_is_of_its_time() -> None:
    server = Server(pipeline_of(zone(), settings=QuerySettings(cookie_secrets=(bytes(16),))))
    message = dns.message.from_wire(notify())
    message.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes(8))])
    outcome, _ = server.handle(message.to_wire())
    assert outcome.notify is not None
    assert not server.handle(message.to_wire())[1]
    plain = dns.message.from_wire(notify())
    plain.use_edns(0)
    server.handle(plain.to_wire())
    assert server.handle(plain.to_wire())[1]


def test_what_is_turned_away_signed_or_no_notify_is_not_kept(server: Server) -> None:
    signed = dns.message.from_wire(notify())
    signed.use_tsig(dns.tsig.Key("k", KEY.secret, "hmac-sha256"))
    turned_away = [notify(rdtype="A"), notify("example.org."), question("example.com.", "SOA")]
    for packet in turned_away:
        assert server.handle(packet)[0].notify is None
        assert not server.handle(packet)[1]
    wire = signed.to_wire()
    outcome = handle(server.pipeline, wire, client=PRIMARY, now=int(signed.tsig[0].time_signed))
    assert outcome.notify is not None and outcome.notify.key == KEY.name
    server.short.learn(wire, ip_address(PRIMARY), outcome)
    assert server.short.find(wire, ip_address(PRIMARY)) is None


def test_a_zone_that_is_gone_replaced_or_has_other_rules_is_looked_at_anew(server: Server) -> None:
    held = server.pipeline.zones.exact(names.from_text("example.com"))
    assert held is not None
    server.handle(notify())

    def other_rules() -> None:
        held.allow_notify = allowing(OTHER)

    def another_type() -> None:
        held.allow_notify = allowing(PRIMARY)
        held.type = "primary"

    def replaced() -> None:
        server.pipeline.zones.add(zone(allowed=OTHER))

    def gone() -> None:
        server.pipeline.zones.remove(held.name)

    for change in (other_rules, another_type, replaced, gone):
        change()
        outcome, known = server.handle(notify())
        assert not known and outcome.notify is None, change.__name__


def test_other_settings_make_another_reply(server: Server) -> None:
    message = dns.message.from_wire(notify())
    message.use_edns(0)
    server.handle(message.to_wire())
    assert server.handle(message.to_wire())[1]
    server.pipeline.settings = QuerySettings(max_udp_size=4096)
    outcome, known = server.handle(message.to_wire())
    assert not known and outcome.reply is not None
    assert dns.message.from_wire(outcome.reply).payload == 4096


def test_what_is_kept_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify_shortcut, "MOST", 10)
    for serial in range(100):
        server.handle(notify(serial=serial))
    assert 1 <= len(server.short._held) <= 10
    assert server.handle(notify(serial=99))[1]


def test_a_notify_is_known_by_its_header() -> None:
    assert is_notify(notify()) and is_notify(notify(serial=1, rdtype="A"))
    reply = bytearray(notify())
    reply[2] |= 0x80
    assert not any(map(is_notify, (bytes(reply), question("example.com.", "SOA"), b"", b"\0\1")))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([notify(), notify(serial=1), notify("EXAMPLE.com."), notify("example.net."), notify("x.")]),
            st.sampled_from([PRIMARY, OTHER]),
            st.sampled_from([None, None, None, PRIMARY, OTHER]),
        ),
        max_size=30,
    )
)
def test_with_and_without_it_everything_comes_to_the_same(steps: list[tuple[bytes, str, str | None]]) -> None:
    """`steps`: a message, its sender, and who is allowed from now on where that changes."""
    plain, short = pipeline_of(zone(), zone("example.net.")), Server(pipeline_of(zone(), zone("example.net.")))
    for packet, client, allowed in steps:
        for pipeline in (plain, short.pipeline) if allowed else ():
            held = pipeline.zones.exact(names.from_text("example.com"))
            assert held is not None and allowed is not None
            held.allow_notify = allowing(allowed)
        assert short.handle(packet, client)[0] == handle(plain, packet, client=client)
    assert counted(short.pipeline) == counted(plain)
    asked = [[each.control_queries for each in pipeline.zones] for pipeline in (plain, short.pipeline)]
    assert asked[0] == asked[1]
