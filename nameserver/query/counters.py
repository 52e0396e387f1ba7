"""Counters of the query path: one flat array of integers, its layout fixed here.

The hot path does `counters[slot] += 1` and nothing else. The array may be a list, or a memoryview of 64-bit items
over memory that another process reads: `COUNTERS[slot]` says which metric and labels a slot stands for.

    0 …                  nameserver_queries_total     transport by family by opcode by type
    RESPONSES …          nameserver_responses_total   transport by truncated by rcode
    DROPPED …            nameserver_dropped_total     reason
"""

from itertools import product
from typing import NamedTuple, Protocol

from nameserver.wire import codes


class CounterName(NamedTuple):
    """A slot's metric name and its labels."""

    metric: str
    labels: dict[str, str]


class CounterArray(Protocol):
    """What counters are kept in: list[int], or a memoryview of format 'Q'."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


UDP, TCP = "udp", "tcp"
PORT_ZERO, SHORT, RESPONSE, TOO_LARGE = "port-zero", "short", "response", "too-large"

_TRANSPORTS = (UDP, TCP)
_FAMILIES = {4: "ipv4", 6: "ipv6"}
_OPCODES = {codes.QUERY: "QUERY", codes.NOTIFY: "NOTIFY", None: "other"}
_TYPES = {
    codes.A: "A", codes.AAAA: "AAAA", codes.NS: "NS", codes.SOA: "SOA", codes.MX: "MX", codes.TXT: "TXT",
    codes.CNAME: "CNAME", codes.PTR: "PTR", codes.SRV: "SRV", codes.DS: "DS", codes.DNSKEY: "DNSKEY",
    codes.HTTPS: "HTTPS", codes.SVCB: "SVCB", 257: "CAA", codes.NAPTR: "NAPTR", codes.ANY: "ANY",
    codes.AXFR: "AXFR", codes.IXFR: "IXFR", None: "other",
}  # fmt: skip
_RCODES: dict[int | None, str] = dict(codes.RCODE_NAMES) | {None: "other"}
_TRUNCATED = ("false", "true")
_REASONS = (PORT_ZERO, SHORT, RESPONSE, TOO_LARGE)

_QUERY_NAMES = [
    CounterName("nameserver_queries_total", {"transport": t, "family": f, "opcode": o, "type": y})
    for t, f, o, y in product(_TRANSPORTS, _FAMILIES.values(), _OPCODES.values(), _TYPES.values())
]
_RESPONSE_NAMES = [
    CounterName("nameserver_responses_total", {"rcode": r, "transport": t, "truncated": c})
    for t, c, r in product(_TRANSPORTS, _TRUNCATED, _RCODES.values())
]
_DROP_NAMES = [CounterName("nameserver_dropped_total", {"reason": reason}) for reason in _REASONS]

COUNTERS: tuple[CounterName, ...] = (*_QUERY_NAMES, *_RESPONSE_NAMES, *_DROP_NAMES)
RESPONSES = len(_QUERY_NAMES)
DROPPED = RESPONSES + len(_RESPONSE_NAMES)

# Each label's value as its share of the slot number, so that a slot is a sum.
_TYPE_PART = {value: index for index, value in enumerate(_TYPES)}
_OTHER_TYPE = _TYPE_PART[None]
_OPCODE_PART = {value: index * len(_TYPES) for index, value in enumerate(_OPCODES)}
_OTHER_OPCODE = _OPCODE_PART[None]
_CLIENT_PART = {
    client: index * len(_OPCODES) * len(_TYPES) for index, client in enumerate(product(_TRANSPORTS, _FAMILIES))
}
_RCODE_PART = {value: index for index, value in enumerate(_RCODES)}
_OTHER_RCODE = _RCODE_PART[None]
_REPLY_PART = {
    reply: RESPONSES + index * len(_RCODES) for index, reply in enumerate(product(_TRANSPORTS, (False, True)))
}


def query_slot(transport: str, version: int, opcode: int, qtype: int) -> int:
    """Slot of a request: transport "udp" or "tcp", IP version 4 or 6."""
    return (
        _CLIENT_PART[transport, version] + _OPCODE_PART.get(opcode, _OTHER_OPCODE) + _TYPE_PART.get(qtype, _OTHER_TYPE)
    )


def response_slot(rcode: int, transport: str, truncated: bool) -> int:
    """Slot of a reply; `rcode` may be an extended one."""
    return _REPLY_PART[transport, truncated] + _RCODE_PART.get(rcode, _OTHER_RCODE)


def dropped_slot(reason: str) -> int:
    """Slot of a message that is not answered; `reason` is one of the constants above."""
    return DROPPED + _REASONS.index(reason)
