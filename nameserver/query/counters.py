"""Counters of the query path: one flat array of integers, its layout fixed here.

The hot path does `counters[slot] += 1` and nothing else. The array may be a list, or a memoryview of 64-bit items
over memory that another process reads: `COUNTERS[slot]` says which metric and labels a slot stands for.

    0 …                  nameserver_queries_total     transport by family by opcode by type
    RESPONSES …          nameserver_responses_total   transport by truncated by rcode
    DROPPED …            nameserver_dropped_total     reason
    SEND_ERRORS …        nameserver_send_errors_total          error
    INTERNAL_ERRORS …    nameserver_internal_errors_total      process (here always "worker") by where
    TCP_CONNECTIONS …    nameserver_tcp_connections_total      event
    RATE_LIMITED …       nameserver_rate_limited_total         action
    TLS_HANDSHAKES …     nameserver_tls_handshakes_total       outcome
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
REFLECTOR = "reflector-port"
QUERY, CALLBACK = "query", "callback"
TCP_ACCEPTED, TCP_REFUSED, TCP_DISPLACED = "accepted", "refused", "displaced"
TCP_IDLE, TCP_SLOW, TCP_MALFORMED = "idle-timeout", "message-timeout", "malformed"

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
_REASONS = (PORT_ZERO, SHORT, RESPONSE, TOO_LARGE, REFLECTOR)
_LIMITED = ("drop", "slip")
# What sending a datagram fails with, by errno's name: a full queue, a firewall, no way there, no such destination.
_OTHER_ERROR = "other"
_SEND_ERRORS = (
    "EAGAIN", "ENOBUFS", "ENOMEM", "EPERM", "EACCES", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ECONNREFUSED",
    "EADDRNOTAVAIL", "EINVAL", "EMSGSIZE", _OTHER_ERROR,
)  # fmt: skip
INTERNAL_ERROR_METRIC = "nameserver_internal_errors_total"
_WHERE = (QUERY, CALLBACK)
TCP_EVENTS = (TCP_ACCEPTED, TCP_REFUSED, TCP_DISPLACED, TCP_IDLE, TCP_SLOW, TCP_MALFORMED)

# How a client's TLS handshake ended: done; not within its time; broken off; no ALPN "dot"; no TLS 1.3; what came was no
# TLS; the client's certificate was wanting; anything else.
HANDSHAKE_OK, HANDSHAKE_TIMEOUT, HANDSHAKE_CLOSED, HANDSHAKE_NO_ALPN = "ok", "timeout", "closed", "no-alpn"
HANDSHAKE_VERSION, HANDSHAKE_NOT_TLS, HANDSHAKE_CERTIFICATE = "version", "not-tls", "certificate"
HANDSHAKE_OTHER = "other"
HANDSHAKES = (
    HANDSHAKE_OK, HANDSHAKE_TIMEOUT, HANDSHAKE_CLOSED, HANDSHAKE_NO_ALPN, HANDSHAKE_VERSION, HANDSHAKE_NOT_TLS,
    HANDSHAKE_CERTIFICATE, HANDSHAKE_OTHER,
)  # fmt: skip

_QUERY_NAMES = [
    CounterName("nameserver_queries_total", {"transport": t, "family": f, "opcode": o, "type": y})
    for t, f, o, y in product(_TRANSPORTS, _FAMILIES.values(), _OPCODES.values(), _TYPES.values())
]
_RESPONSE_NAMES = [
    CounterName("nameserver_responses_total", {"rcode": r, "transport": t, "truncated": c})
    for t, c, r in product(_TRANSPORTS, _TRUNCATED, _RCODES.values())
]
_DROP_NAMES = [CounterName("nameserver_dropped_total", {"reason": reason}) for reason in _REASONS]
_SEND_ERROR_NAMES = [CounterName("nameserver_send_errors_total", {"error": error}) for error in _SEND_ERRORS]
_INTERNAL_NAMES = [CounterName(INTERNAL_ERROR_METRIC, {"process": "worker", "where": where}) for where in _WHERE]
_LIMITED_NAMES = [CounterName("nameserver_rate_limited_total", {"action": action}) for action in _LIMITED]
_TLS_NAMES = [CounterName("nameserver_tls_handshakes_total", {"outcome": outcome}) for outcome in HANDSHAKES]
_TCP_NAMES = [CounterName("nameserver_tcp_connections_total", {"event": event}) for event in TCP_EVENTS]

COUNTERS: tuple[CounterName, ...] = (
    *_QUERY_NAMES, *_RESPONSE_NAMES, *_DROP_NAMES, *_SEND_ERROR_NAMES, *_INTERNAL_NAMES, *_TCP_NAMES,
    *_LIMITED_NAMES, *_TLS_NAMES,
)  # fmt: skip
RESPONSES = len(_QUERY_NAMES)
DROPPED = RESPONSES + len(_RESPONSE_NAMES)
SEND_ERRORS = DROPPED + len(_DROP_NAMES)
INTERNAL_ERRORS = SEND_ERRORS + len(_SEND_ERROR_NAMES)
TCP_CONNECTIONS = INTERNAL_ERRORS + len(_INTERNAL_NAMES)
RATE_LIMITED = TCP_CONNECTIONS + len(_TCP_NAMES)
TLS_HANDSHAKES = RATE_LIMITED + len(_LIMITED_NAMES)

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


def rate_limited_slot(action: str) -> int:
    """Slot of an answer that came too often: "drop" or "slip"."""
    return RATE_LIMITED + _LIMITED.index(action)


def dropped_slot(reason: str) -> int:
    """Slot of a message that is not answered; `reason` is one of the constants above."""
    return DROPPED + _REASONS.index(reason)


def send_error_slot(error: str) -> int:
    """Slot of a reply that could not be sent; `error` is the errno's name ("EPERM")."""
    return SEND_ERRORS + _SEND_ERRORS.index(error if error in _SEND_ERRORS else _OTHER_ERROR)


def internal_error_slot(where: str) -> int:
    """Slot of a fault of our own: `QUERY`, answering broke; `CALLBACK`, something that the event loop called did."""
    return INTERNAL_ERRORS + _WHERE.index(where)


def tcp_slot(event: str) -> int:
    """Slot of what happened to a TCP connection; `event` is one of the constants above."""
    return TCP_CONNECTIONS + TCP_EVENTS.index(event)


def handshake_slot(outcome: str) -> int:
    """Slot of a TLS handshake that ended; `outcome` is one of `HANDSHAKES`."""
    return TLS_HANDSHAKES + HANDSHAKES.index(outcome)
