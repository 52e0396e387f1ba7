"""A pipeline over zones written as text, and questions to it without a socket.

Requests and replies pass through dnspython, so what a test sees is what a client would see on the wire.
"""

from collections.abc import Iterable
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from support.served_zones import wire, zone_from_text

from nameserver.query.counters import COUNTERS
from nameserver.query.exchange import Outcome, QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.wire.names import to_text
from nameserver.wire.tsig import TsigKey
from nameserver.zone.contents import Zone

NOW = 1_800_000_000
CLIENT = "192.0.2.200"


def served(text: str | None, origin: str, **rules) -> ServedZone:
    """A zone being served; text None: configured, but not loaded yet. `rules` are fields of ServedZone."""
    zone = None if text is None else zone_from_text(text, origin)
    state = ZoneState.NOT_LOADED if zone is None else ZoneState.SERVING
    return ServedZone(wire(origin).lower(), origin.rstrip(".") or ".", zone, **({"state": state} | rules))


def served_zone(zone: Zone) -> ServedZone:
    """A zone that is there already, being served."""
    return ServedZone(zone.apex, to_text(zone.apex), zone, ZoneState.SERVING)


def pipeline_of(*zones: ServedZone, keys: Iterable[TsigKey] = (), settings: QuerySettings | None = None) -> Pipeline:
    """A pipeline that serves these zones."""
    zone_set = ZoneSet()
    for zone in zones:
        zone_set.add(zone)
    return Pipeline(
        zone_set, {key.name: key for key in keys}, settings or QuerySettings(), [0] * len(COUNTERS), lambda: NOW
    )


def handle(
    pipeline: Pipeline, data: bytes, *, transport: str = "udp", client: str = CLIENT, port: int = 5353, now: int = NOW
) -> Outcome:
    """Pass one message to the pipeline."""
    return pipeline.handle(data, ip_address(client), port, transport, now)


def question(name: str, rdtype: str = "A", rdclass: str = "IN", *, edns: int | None = None, **more) -> bytes:
    """A query in wire form, with id 4711; `edns` is the UDP size it announces. RD is off unless `rd=True`."""
    flags = dns.flags.RD if more.pop("rd", False) else 0
    size = {} if edns is None else {"payload": edns}
    message = dns.message.make_query(
        name, rdtype, rdclass, id=4711, flags=flags, use_edns=-1 if edns is None else 0, **size, **more
    )
    return message.to_wire()


def ask(
    pipeline: Pipeline, name: str, rdtype: str = "A", rdclass: str = "IN", *, transport: str = "udp", **more
) -> dns.message.Message:
    """The reply to one query; `more` as for `question`."""
    outcome = handle(pipeline, question(name, rdtype, rdclass, **more), transport=transport)
    assert outcome.reply is not None
    return dns.message.from_wire(outcome.reply)


def lines(section: list) -> list[str]:
    """The records of a section as text, in the order sent, owners in the case sent."""
    return [line for rrset in section for line in rrset.to_text().splitlines()]


def rcode(message: dns.message.Message) -> str:
    """The RCODE's name."""
    return dns.rcode.to_text(message.rcode())


def is_authoritative(message: dns.message.Message) -> bool:
    """Whether AA is set."""
    return bool(message.flags & dns.flags.AA)


def extended_errors(message: dns.message.Message) -> list[int]:
    """The info codes of the reply's extended errors (RFC 8914)."""
    return [int(option.code) for option in message.options if option.otype == dns.edns.OptionType.EDE]


def counted(pipeline: Pipeline) -> dict[str, int]:
    """The counters that are not zero: 'metric{label=value,…}' to count."""
    return {
        f"{name.metric}{{{','.join(f'{k}={v}' for k, v in name.labels.items())}}}": pipeline.counters[slot]
        for slot, name in enumerate(COUNTERS)
        if pipeline.counters[slot]
    }
