"""What happens to a message that arrives on our port: the stages, in the order in which they apply.

    message
      │ 1  unanswerable?    port 0, a reply, no header ───────────────────────────▶ dropped
      │ 2  malformed?       ──────────────────────────────────────────────────────▶ FORMERR
      │ 3  signed?          wrong ────────────────────────────────────────────────▶ NOTAUTH with the TSIG error
      │ 4  EDNS version     not 0 ────────────────────────────────────────────────▶ BADVERS
      │ 5  opcode           neither QUERY nor NOTIFY ─────────────────────────────▶ NOTIMP
      │ 6  NOTIFY           ───────────────────────────────── query.notify ───────▶ reply, and perhaps word of it
      │ 7  class            CHAOS ─────────────────────────── query.chaos ────────▶ reply; all others REFUSED
      │ 8  AXFR, IXFR       ───────────────────────────────── query.transfers ────▶ reply, or the transfer
      │ 9  types that no zone holds ──────────────────────────────────────────────▶ FORMERR or NOTIMP
      │ 10 an ordinary question ───────────────────────────── query.resolve ──────▶ reply
      ▼
    rendered to the size the client takes, OPT and signature included; signed if the request was; counted

The order is policy. A signature is judged before anything is told that depends on who asks; a stage that refuses knows
no more than the ones before it; and no stage raises: whatever the bytes, the outcome is a reply or nothing.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from nameserver.errors import Reason, WireError
from nameserver.query import counters as slots
from nameserver.query.chaos import answer_chaos
from nameserver.query.counters import CounterArray, dropped_slot, query_slot, response_slot
from nameserver.query.exchange import Exchange, Outcome, QuerySettings, Refused, TransferRequest, refusal
from nameserver.query.notify import judge_notify
from nameserver.query.resolve import answer_query
from nameserver.query.transfers import judge_transfer
from nameserver.query.zoneset import ZoneSet
from nameserver.wire import codes
from nameserver.wire.render import render, render_error
from nameserver.wire.reply import Reply
from nameserver.wire.request import BadRequest, Request, Unanswerable, parse_request
from nameserver.wire.tsig import (
    TsigFailure,
    TsigKey,
    TsigRecord,
    error_reply,
    sign,
    signature_size,
    verify_request,
    without_question,
)

LARGEST_MESSAGE = 65535  # octets; what TCP's length field can say (RFC 1035 §4.2.2)
PLAIN_UDP_SIZE = 512  # octets, without EDNS (RFC 1035 §4.2.1)
HEADER_SIZE = 12
_TRANSFERS = {codes.AXFR: "axfr", codes.IXFR: "ixfr"}
_REASONS = {
    codes.FORMERR: Reason.FORMERR,
    codes.SERVFAIL: Reason.SERVFAIL,
    codes.REFUSED: Reason.REFUSED,
    codes.NOTAUTH: Reason.NOTAUTH_ZONE,
}
# Types that no zone holds, whoever serves it; all others, known to us or not, are questions that zones answer. OPT and
# TSIG are parts of messages, NXNAME a mark in NSEC records: to ask for one is a broken question (RFC 9824 §3.5).
# The others ask for a service that we do not do.
_META_TYPES = {
    codes.OPT: (codes.FORMERR, None),
    codes.NXNAME: (codes.FORMERR, codes.EDE_INVALID_QUERY_TYPE),
    codes.TSIG: (codes.FORMERR, None),
    codes.TKEY: (codes.NOTIMP, None),
    codes.MAILB: (codes.NOTIMP, None),
    codes.MAILA: (codes.NOTIMP, None),
}


class Pipeline:
    """Turns messages into outcomes. The attributes may be replaced between two messages, as a reload does.

    `keys` are the TSIG keys by folded name; `counters` is laid out as `nameserver.query.counters` says.
    """

    __slots__ = ("counters", "keys", "settings", "zones")

    def __init__(
        self, zones: ZoneSet, keys: Mapping[bytes, TsigKey], settings: QuerySettings, counters: CounterArray
    ) -> None:
        self.zones = zones
        self.keys = keys
        self.settings = settings
        self.counters = counters

    def handle(self, data: bytes, address: IPv4Address | IPv6Address, port: int, transport: str, now: int) -> Outcome:
        """What to do about one message.

        `address` and `port` are the sender's (IPv4-mapped addresses unwrapped), `transport` is "udp" or "tcp", `now`
        whole seconds since 1970.
        """
        if port == 0:
            return self._drop(slots.PORT_ZERO)
        try:
            request = parse_request(data)
        except Unanswerable:
            return self._drop(slots.SHORT if len(data) < HEADER_SIZE else slots.RESPONSE)
        except BadRequest as bad:
            return self._answer_malformed(bad, address, transport)
        self.counters[query_slot(transport, address.version, request.opcode, request.qtype)] += 1
        exchange = Exchange(request, address, transport, now)
        if request.tsig is not None:
            rejection = self._authenticate(exchange, request.tsig, data)
            if rejection is not None:
                return rejection
        return self._route(exchange)

    def _drop(self, reason: str) -> Outcome:
        self.counters[dropped_slot(reason)] += 1
        return Outcome()

    def _answer_malformed(self, bad: BadRequest, address: IPv4Address | IPv6Address, transport: str) -> Outcome:
        """Stage 2. Never signed: a message that cannot be read has no signature that could be believed."""
        self.counters[query_slot(transport, address.version, bad.opcode, 0)] += 1
        wire = render_error(
            bad.id, bad.flags, bad.opcode, bad.question, bad.rcode, bad.edns, self.settings.max_udp_size
        )
        return self._counted(wire, bad.rcode, transport)

    def _authenticate(self, exchange: Exchange, record: TsigRecord, data: bytes) -> Outcome | None:
        """Stage 3: the outcome for a signature that is not good (RFC 8945 §5.2); else the exchange gets its key."""
        request = exchange.request
        try:
            verdict = verify_request(data, record, self.keys, exchange.now)
        except WireError as error:
            return self._send(exchange, refusal(error.rcode))
        if not isinstance(verdict, TsigFailure):
            exchange.key = verdict.key
            return None
        limit = self._limit(request, exchange.transport)
        plain = self._render(request, refusal(codes.NOTAUTH), limit)
        told = error_reply(plain, record, verdict, exchange.now, limit)
        outcome = self._counted(told, codes.NOTAUTH, exchange.transport)
        outcome.refused = _refused(exchange, verdict.reason, record.key_name)
        return outcome

    def _route(self, exchange: Exchange) -> Outcome:
        """Stages 4 to 10."""
        request = exchange.request
        if request.edns is not None and request.edns.version:
            return self._send(exchange, refusal(codes.BADVERS))
        if request.opcode not in (codes.QUERY, codes.NOTIFY):
            # An UPDATE that holds records gets this unsigned even where it is signed, knowingly against RFC 8945 §5.3:
            # its signature would have to be looked for behind records, and of those we read nothing.
            return self._send(exchange, refusal(codes.NOTIMP))
        if request.opcode == codes.NOTIFY:
            acknowledgement, received = judge_notify(exchange, self.zones)
            outcome = self._send(exchange, acknowledgement)
            outcome.notify = received
            outcome.refused = _refused(exchange, _REASONS.get(acknowledgement.rcode), exchange.key_name)
            return outcome
        if request.qclass != codes.IN:
            chaos = request.qclass == codes.CH
            return self._send(exchange, answer_chaos(request, self.settings) if chaos else refusal(codes.REFUSED))
        if request.qtype in (codes.AXFR, codes.IXFR):
            verdict = judge_transfer(exchange, self.zones)
            if isinstance(verdict, TransferRequest):
                return Outcome(transfer=verdict)
            outcome = self._send(exchange, verdict)
            outcome.refused = _refused(exchange, _REASONS.get(verdict.rcode), exchange.key_name)
            return outcome
        if request.qtype in _META_TYPES:
            return self._send(exchange, refusal(*_META_TYPES[request.qtype]))
        return self._send(exchange, answer_query(self.zones, request))

    def _send(self, exchange: Exchange, reply: Reply) -> Outcome:
        """Render within the client's limits, sign if the request was signed, count."""
        request, nsid, key = exchange.request, self.settings.nsid, exchange.key
        edns = request.edns
        if nsid and edns is not None and edns.option(codes.OPT_NSID) is not None:
            reply.options.append((codes.OPT_NSID, nsid))
        limit = self._limit(request, exchange.transport)
        if key is None:
            wire = self._render(request, reply, limit)
        else:
            wire = self._render(request, reply, limit - signature_size(key))
            wire, _ = sign(wire, key, exchange.now, exchange.request_mac)
        return self._counted(wire, reply.rcode, exchange.transport)

    def _render(self, request: Request, reply: Reply, limit: int) -> bytes:
        """The reply in at most `limit` octets.

        Where it has no room for what `render` writes in any case, its options go first (RFC 8914 §3), its question
        last, and TC is set. What then is left, a header and an empty OPT, has room in 512 octets beside any signature.
        """
        wire = render(request, reply, limit, self.settings.max_udp_size)
        if len(wire) <= limit:
            return wire
        reply.options = []
        wire = render(request, reply, limit, self.settings.max_udp_size)
        if len(wire) > limit:
            return without_question(wire)
        return b"%b%c%b" % (wire[:2], wire[2] | codes.TC >> 8, wire[3:])

    def _limit(self, request: Request, transport: str) -> int:
        """The most octets the reply may have: over UDP what the client announces, within our own bound."""
        if transport == slots.TCP:
            return LARGEST_MESSAGE
        if request.edns is None:
            return PLAIN_UDP_SIZE
        return min(max(PLAIN_UDP_SIZE, request.edns.udp_size), self.settings.max_udp_size)

    def _counted(self, wire: bytes, rcode: int, transport: str) -> Outcome:
        self.counters[response_slot(rcode, transport, wire[2] & (codes.TC >> 8) != 0)] += 1
        return Outcome(wire)


def _refused(exchange: Exchange, reason: Reason | None, key: bytes | None) -> Refused | None:
    """What to tell of a request that was turned away; None where it was not, or was an ordinary query."""
    request = exchange.request
    if request.opcode == codes.QUERY:
        asked = _TRANSFERS.get(request.qtype)
    else:
        asked = "notify" if request.opcode == codes.NOTIFY else None
    if reason is None or asked is None:
        return None
    return Refused(request.qname_folded, str(exchange.address), asked, reason, key)
