"""Names and texts meant to harm whoever reads them: wherever they come out, they are text on one line and no more."""

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.ask import LOOPBACK
from support.bad_primary import Zone
from support.daemon import Nameserver
from support.pair import ask_udp, connect, frames, read_frame
from support.scripted_primary import Act, Question, Versions, scripted_beside, sent

from nameserver.cli.main import main
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.rrset import Record

# Terminal escapes in 7 and 8 bits, line ends of every kind, what ends quotes, formats, markup, shells; no UTF-8.
LABELS = [
    b"\x1b[31m\x1b]0;x\x07\r\n\t\"'\\=%s%n{0}<script>alert(1)</script>$(x)`;#",
    bytes(range(33)),
    bytes(range(0x7F, 0xA1)),
    "\u202e\u2028ü".encode() + b"\xff\xfe\xc3\x28",
]
WORST = b"".join(bytes((len(label),)) + label for label in LABELS)
LONGEST = b"".join(bytes((size,)) + b"\x1b" * size for size in (63, 63, 63, 61)) + b"\0"  # 255 octets
HOSTILE = [WORST + b"\0", LONGEST, *(bytes((len(label),)) + label + b"\0" for label in LABELS)]

Case = Callable[[Question, Zone, bytes], list[bytes]]


def _owned(zone: Zone, owner: bytes, line: str) -> Record:
    return zone.rr(f"@ {line}")._replace(owner=owner)


def _with(*lines: str, inside: bool = True, **changes: int) -> Case:
    """The zone with records of the hostile name."""

    def messages(question: Question, zone: Zone, name: bytes) -> list[bytes]:
        owner = name[:-1] + (zone.wire if inside else b"\0")
        odd = [_owned(zone, owner, line)._replace(**changes) for line in lines]
        return [question.message(zone.soa(5), *zone.body(5), *odd, zone.soa(5))]

    return messages


def _other_question(question: Question, zone: Zone, name: bytes) -> list[bytes]:
    asked = question._replace(wire=name + question.wire[-4:])
    return [asked.message(zone.soa(5), *zone.body(5), zone.soa(5))]


def _other_first(question: Question, zone: Zone, name: bytes) -> list[bytes]:
    return [question.message(_owned(zone, name, "300 A 192.0.2.1"), zone.soa(5))]


# What a primary can do to have a name of its choice in our log: zone → what its AXFR is answered with.
CASES: dict[str, Case] = {
    "conflict": _with("300 CNAME x", "300 A 192.0.2.1"),
    "outside": _with("300 A 192.0.2.1", inside=False),
    "class": _with("300 A 192.0.2.1", rdclass=3),
    "times": _with("300 TXT a", "301 TXT b"),
    "soa": _with("300 SOA . . 1 1 1 1 1"),
    "question": _other_question,
    "first": _other_first,
    "good": _with('300 TXT "x"'),
}
SHORT = WORST[: 1 + len(LABELS[0])]  # has room for a zone's name behind it
APEX = names.to_text(SHORT + b"\x07example\0")  # a zone of such a name, in the configuration
REMOTE = "pri\"<b>{}%s\\'mary"  # the configuration refuses control characters


class Hostile(Versions):
    """Good at the SOA question; to AXFR as the zone's name says."""

    def __call__(self, question: Question) -> list[Act]:
        zone = Zone(question.zone)
        case = CASES.get(question.zone.partition(".")[0])
        if question.kind == "SOA" or case is None:
            return super().__call__(question)
        name = WORST + b"\0" if len(WORST) + len(zone.wire) <= 255 else SHORT + b"\0"
        return sent(question, case(question, zone, name))


@pytest.fixture(scope="module", params=["plain", "json"])
def server(request: pytest.FixtureRequest) -> Iterator[Nameserver]:
    """A daemon after everything in this file's head was done to it."""
    zones = [f"{case}.test" for case in CASES] + [APEX]
    with scripted_beside(Hostile()) as primary, Nameserver(server={"log-format": request.param}) as ours:
        good = b"@ 1 IN SOA a b 1 1 1 1 1\n@ 1 IN NS a\n"
        odd = b"x\x1b[31m\x07<script>"
        (ours.directory / "words.zone").write_bytes(good + odd + b" 1 IN CNAME a\n" + odd + b" 1 IN A 192.0.2.1\n")
        (ours.directory / "octets.zone").write_bytes(good + b"x 1 IN A \xff\xfe\x9b\n")
        tables = [f"[remote.{json.dumps(REMOTE)}]", f'address = ["{LOOPBACK}:{primary.port}"]']
        for zone in zones:
            tables += [f"[zone.{json.dumps(zone)}]", f"primaries = [{json.dumps(REMOTE)}]"]
        for name in ("words", "octets"):
            tables += [f'[zone."{name}.test"]', 'type = "primary"', f'file = "{name}.zone"']
        ours.extra = "\n".join(tables) + "\n"
        ours.template |= {"min-retry-time": "1h", "min-refresh-time": "1h"}
        ours.server["log-level"] = "debug"
        ours.start(wait_ready=False)
        ours.wait(
            lambda: (
                ours.status()
                and all(zone["last_transfer"] for zone in ours.status()["zones"] if zone["type"] == "secondary")
            ),
            20,
            "tries",
        )
        strangers(ours)
        refused = 'nameserver_notify_received_total{outcome="refused",reason="notauth-zone"}'
        ours.wait(lambda: ours.metrics().get(refused, 0) >= len(HOSTILE), what="the refusals")
        yield ours
        ours.stop()


def strangers(ours: Nameserver) -> None:
    """Every kind of request for, and under, every such name: over UDP and TCP, with a key of that name."""
    plain = 0
    for name in HOSTILE:
        for rdtype, opcode in ((codes.A, 0), (codes.SOA, codes.NOTIFY), (codes.AXFR, 0), (codes.IXFR, 0)):
            packet = build_query(7, name, rdtype, opcode=opcode)
            reply, _ = ask_udp(LOOPBACK, ours.port, packet)
            assert reply.id == 7
            with connect(ours.port) as connection:
                connection.sendall(frames(packet, signed(packet, name)))
                assert read_frame(connection)[:2] == packet[:2]
                assert read_frame(connection)[3] & 15 == dns.rcode.NOTAUTH
            plain += 1
        with socket.create_connection((LOOPBACK, ours.http_port), 5) as client:
            client.sendall(b"GET /" + name + b" HTTP/1.1\r\nHost: \x1b[31m\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 4")


def signed(packet: bytes, name: bytes) -> bytes:
    """The packet with a TSIG record under a key of that name, and an algorithm too."""
    rdata = b"\x0bhmac-sha256\0" + bytes(6) + b"\x01\x2c\0\x20" + bytes(32) + packet[:2] + bytes(4)
    record = name + b"\0\xfa\0\xff\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
    return packet[:11] + b"\x01" + packet[12:] + record


def is_harmless(text: str) -> bool:
    """One line, nothing that a terminal acts on, nothing that turns the reading direction."""
    return text.isprintable()


def texts_of(value: object) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def test_the_log_is_lines_of_printable_text_that_each_begin_as_lines_do(server: Nameserver) -> None:
    raw = (server.directory / "log").read_bytes().decode("utf-8")
    lines = raw.removesuffix("\n").split("\n")
    assert all(map(is_harmless, lines))
    assert max(map(len, lines)) < 9000
    if server.server["log-format"] == "json":
        entries = [json.loads(line) for line in lines]
        assert all(is_harmless(text) for entry in entries for text in texts_of(entry) if "\n" not in text)
        events = [entry["event"] for entry in entries if "event" in entry]
        assert any(event["zone"].startswith(r"\027[31m") for event in events)
    else:
        assert all(line[:2] == "20" or line.startswith("    ") for line in lines)
        assert any("transfer in zone=conflict.test" in line and r"\027[31m" in line for line in lines)
        assert any(line.split(" ")[2:4] == ["notify", "in"] and r"\027" in line for line in lines)


def test_what_went_wrong_is_told_with_the_name_in_it_escaped(server: Nameserver) -> None:
    """The names do come out: else the rest of this file would show nothing."""
    details = {zone["name"]: zone["last_detail"] for zone in server.status()["zones"]}
    for case in ("conflict", "class", "soa", "question", "first"):
        assert r"\027[31m" in details[f"{case}.test"], case
    assert r"x\027[31m\007<script>.words.test" in details["words.test"]
    assert "octets.zone:" in details["octets.test"]
    assert server.serial("good.test") == server.serial("outside.test") == server.serial("times.test") == 5


def test_status_and_why_are_printable_lines_for_people_and_ascii_for_programs(
    server: Nameserver, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [zone["name"] for zone in server.status()["zones"]]
    commands = [("status",), ("refresh", "--", r"\027[31m.example"), ("status", "\x1b[31m.nowhere"), ("reload",)]
    commands += [
        (verb, zone) for verb in ("status", "why") for zone in shown if zone in ("conflict.test", APEX, "words.test")
    ]
    for command in commands:
        for form in ((), ("--json",)):
            assert main([command[0], "-c", str(server.config), *form, *command[1:]]) in (0, 1, 2)
            said = capsys.readouterr()
            text = said.out + said.err
            assert all(map(is_harmless, text.splitlines())), (command, text)
            assert not form or (text.isascii() and json.loads(said.out))


def page(ours: Nameserver, path: str) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{ours.http_port}{path}", timeout=10) as response:
        return str(response.read().decode("utf-8"))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"


def test_the_status_page_shows_them_as_text(server: Nameserver) -> None:
    text = page(server, "/")
    assert all(map(is_harmless, text.split("\n")))
    tags = _Tags()
    tags.feed(text)
    assert tags.scripts == 1, "our own"
    assert "&lt;script&gt;alert" in text and r"\027[31m" in text
    assert all(map(is_harmless, page(server, "/ready").splitlines()))


def test_metrics_parse_and_have_labels_out_of_the_configuration_alone(server: Nameserver) -> None:
    text = page(server, "/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    configured = {zone["name"] for zone in server.status()["zones"]}
    assert {sample.labels["zone"] for sample in samples if "zone" in sample.labels} == configured
    assert {sample.labels["primary"] for sample in samples if "primary" in sample.labels} == {REMOTE}
    others = {value for sample in samples for key, value in sample.labels.items() if key not in ("zone", "primary")}
    assert all(value.isprintable() and value.isascii() for value in others)
    assert not any("\\" in value or "script" in value for value in others)
