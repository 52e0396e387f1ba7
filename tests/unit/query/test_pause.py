"""A zone that is silent by command: what whom is answered, what goes on, and that nothing else feels it."""

from ipaddress import ip_network

import dns.message
import pytest
from support.pipelines import ask, extended_errors, handle, lines, pipeline_of, question, rcode, served
from support.served_zones import HEAD, wire
from support.short_cut_pair import CLIENT, NOW, ORIGINS, Pair

from nameserver.query.acl import Acl, AclRow
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ServedZone, ZoneState
from nameserver.wire import codes

BELOW = "192.0.2.53"  # may transfer the zone
STRANGER = "198.51.100.7"
OPEN = Acl((AclRow(ip_network(f"{BELOW}/32")),))
EVERYBODY = Acl((AclRow(ip_network("0.0.0.0/0")),))
TEXT = f"{HEAD}\nwww A 192.0.2.1\n*.wild A 192.0.2.2\ncut NS ns.elsewhere.test.\nchild DS 1 8 2 {'ab' * 32}\n"
OTHER = f"{HEAD}\nalias CNAME www.example.test.\nwww A 192.0.2.3\n"
RCODES = {codes.REFUSED: "REFUSED", codes.SERVFAIL: "SERVFAIL"}


@pytest.fixture(params=RCODES)
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """`example.test` is paused; its parent, its child and another zone are not."""
    return pipeline_of(
        served(HEAD, "test."),
        served(TEXT, "example.test.", allow_transfer=OPEN, allow_notify=OPEN, paused=request.param),
        served(f"{HEAD}\nwww A 192.0.2.4\n", "child.example.test."),
        served(OTHER, "other.test."),
    )


def paused_zone(pipeline: Pipeline) -> ServedZone:
    zone = pipeline.zones.exact(wire("example.test."))
    assert zone is not None
    return zone


def expected(pipeline: Pipeline) -> str:
    return RCODES[paused_zone(pipeline).paused]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("example.test.", "SOA"),
        ("example.test.", "NS"),
        ("www.example.test.", "A"),
        ("WWW.example.TEST.", "AAAA"),
        ("x.wild.example.test.", "A"),
        ("a.b.c.example.test.", "TXT"),
        ("below.cut.example.test.", "A"),
        ("child.example.test.", "DS"),  # the parent's, though the child is served too
        ("example.test.", "ANY"),
    ],
)
def test_every_name_of_the_zone_gets_the_error_and_why(
    pipeline: Pipeline, name: str, rdtype: str, transport: str
) -> None:
    reply = ask(pipeline, name, rdtype, transport=transport, edns=1232)
    assert rcode(reply) == expected(pipeline)
    assert not reply.answer and not reply.authority and not reply.flags & codes.AA
    assert extended_errors(reply) == [codes.EDE_OTHER]
    assert "zone paused by the operator" in reply.options[0].to_text()
    plain = ask(pipeline, name, rdtype, transport=transport)
    assert rcode(plain) == expected(pipeline) and plain.edns < 0


def test_zones_above_below_and_beside_it_are_answered(pipeline: Pipeline) -> None:
    assert lines(ask(pipeline, "www.child.example.test.").answer) == ["www.child.example.test. 3600 IN A 192.0.2.4"]
    assert rcode(ask(pipeline, "test.", "SOA")) == rcode(ask(pipeline, "www.other.test.")) == "NOERROR"
    assert rcode(ask(pipeline, "nothing.test.")) == "NXDOMAIN"


def test_an_alias_into_it_is_given_and_not_followed(pipeline: Pipeline) -> None:
    """Who asks on for the name behind it gets the error, as from a server that has the zone no more."""
    reply = ask(pipeline, "alias.other.test.")
    assert rcode(reply) == "NOERROR"
    assert [line.split()[3] for line in lines(reply.answer)] == ["CNAME"]


def test_whoever_may_transfer_it_sees_its_soa_and_nothing_else(pipeline: Pipeline) -> None:
    def told(client: str, name: str, rdtype: str) -> str:
        outcome = handle(pipeline, question(name, rdtype), client=client)
        assert outcome.reply is not None
        if rdtype == "SOA":
            assert outcome.repeatable is None or name != "example.test.", "it is not for the next who asks"
        return rcode(dns.message.from_wire(outcome.reply))

    assert told(BELOW, "example.test.", "SOA") == told(BELOW, "EXAMPLE.test.", "SOA") == "NOERROR"
    assert told(STRANGER, "example.test.", "SOA") == expected(pipeline)
    assert told(BELOW, "example.test.", "NS") == told(BELOW, "www.example.test.", "SOA") == expected(pipeline)


def test_transfers_and_notify_go_on(pipeline: Pipeline) -> None:
    outcome = handle(pipeline, question("example.test.", "AXFR"), transport="tcp", client=BELOW)
    assert outcome.transfer is not None and outcome.transfer.zone is paused_zone(pipeline)
    assert handle(pipeline, question("example.test.", "AXFR"), transport="tcp", client=STRANGER).transfer is None
    notify = dns.message.make_query("example.test.", "SOA")
    notify.set_opcode(codes.NOTIFY)  # type: ignore[arg-type]
    assert handle(pipeline, notify.to_wire(), client=BELOW).notify is not None


def test_what_is_asked_counts_as_ever(pipeline: Pipeline) -> None:
    for name, rdtype in (("www.example.test.", "A"), ("example.test.", "SOA"), ("x.example.test.", "TXT")):
        ask(pipeline, name, rdtype)
    zone = paused_zone(pipeline)
    assert (zone.queries, zone.control_queries) == (2, 1)


@pytest.mark.parametrize("state", [ZoneState.EXPIRED, ZoneState.NOT_LOADED])
def test_a_paused_zone_says_so_also_where_it_could_not_be_answered(state: ZoneState) -> None:
    pipeline = pipeline_of(served(HEAD, "example.test.", state=state, paused=codes.REFUSED, allow_transfer=EVERYBODY))
    assert rcode(ask(pipeline, "www.example.test.")) == "REFUSED"
    assert rcode(ask(pipeline, "example.test.", "SOA")) == "SERVFAIL", "who may transfer it sees how it is"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_answers_that_are_kept_end_with_the_pause_and_with_its_end_and_those_of_other_zones_stay(
    transport: str,
) -> None:
    pair = Pair(transport)
    wanted = {
        name: question(f"{name}.", edns=1232)
        for name in ("www.example.test", "deep.under.none.example.test", "nothing.example.test", "away.example.test")
    }
    beside = question("www.other.test.", edns=1232)

    def rcodes() -> list[int]:
        found = []
        for message in wanted.values():
            for _ in range(3):  # first seen, then learnt, then kept: `ask` holds each to the pipeline's
                pair.ask(message)
            found.append(pair.plain.handle(message, CLIENT, 5353, transport, NOW).reply[3] & 15)  # type: ignore[index]
        return found

    for _ in range(3):
        pair.ask(beside)
    before = rcodes()
    assert before == [codes.NOERROR, codes.NOERROR, codes.NXDOMAIN, codes.NOERROR]
    for rcode_ in (codes.REFUSED, codes.SERVFAIL):
        pair.set_state(ORIGINS[0], rcode_)
        assert rcodes() == [rcode_] * len(wanted)
        assert pair.ask(wanted["www.example.test"]) is not None, "the error too is kept"
        entry = pair.shortcut.entries.get(beside[2:])
        assert pair.ask(beside) is not None, "other zones' answers are found without the pipeline"
        assert entry is None or pair.shortcut.entries[beside[2:]][4] is entry[4], "and are the same"
    pair.set_state(ORIGINS[0], codes.NOERROR)
    assert rcodes() == before
