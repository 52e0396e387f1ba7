"""What happens to a message that arrives on our port: the stages, in the order in which they apply.

    message
      │ 1  unanswerable?    port 0, a reflector, a reply, no header ──────────────▶ dropped
      │ 2  malformed?       ──────────────────────────────────────────────────────▶ FORMERR
      │ 3  signed?          wrong ────────────────────────────────────────────────▶ NOTAUTH with the TSIG error
      │ 4  EDNS             version not 0, cookie wanting, option malformed ──────▶ BADVERS, BADCOOKIE, FORMERR
      │ 5  opcode           neither QUERY nor NOTIFY ─────────────────────────────▶ NOTIMP
      │ 6  no question      wants a cookie, and gets it ──────────────────────────▶ NOERROR or BADCOOKIE
      │ 7  NOTIFY           ───────────────────────────────── query.notify ───────▶ reply, and perhaps word of it
      │ 8  class            CHAOS ─────────────────────────── query.chaos ────────▶ reply; all others REFUSED
      │ 9  AXFR, IXFR       ───────────────────────────────── query.transfers ────▶ reply, or the transfer
      │ 10 types that no zone holds ──────────────────────────────────────────────▶ FORMERR or NOTIMP
      │ 11 an ordinary question ───────────────────────────── query.resolve ──────▶ reply
      ▼
    rendered to the size the client takes, OPT and signature included; signed if the request was; counted

The order is policy. A signature is judged before anything is told that depends on who asks; a stage that refuses knows
no more than the ones before it; and no stage raises: whatever the bytes, the outcome is a reply or nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from nameserver.errors import Reason, WireError
from nameserver.query import counters as slots
from nameserver.query.acl import TlsClient
from nameserver.query.chaos import answer_chaos
from nameserver.query.counters import CounterArray, dropped_slot, query_slot, response_slot
from nameserver.query.dependence import dependence
from nameserver.query.exchange import Exchange, Outcome, QuerySettings, Refused, Repeatable, TransferRequest, refusal
from nameserver.query.expire import Option, expire_option, is_asked
from nameserver.query.notify import judge_notify
from nameserver.query.rate_limit import RateLimiter, Told, Verdict
from nameserver.query.resolve import answer_query, depends_on_asker, what_is_told
from nameserver.query.transfers import judge_transfer
from nameserver.query.zoneset import ZoneSet
from nameserver.wire import codes
from nameserver.wire.cookie import CLIENT_SIZE, judge
from nameserver.wire.edns import DO, Edns, pack_opt
from nameserver.wire.render import render, render_error
from nameserver.wire.reply import Reply
from nameserver.wire.request import BadRequest, Request, Unanswerable, parse_request
from nameserver.wire.rrset import RRset
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
from nameserver.zone.soa import parse_soa

# UDP services that answer any datagram: echo, systat, daytime, netstat, qotd, chargen, time (RFC 862 to 868). No client
# asks from their ports; somebody who forges them wants the two of us to answer each other for ever. What chargen sends
# even looks like a request (CVE-2024-2169). Port 53 is answered: old servers ask and notify from it, and a server that
# gets our reply does not answer it, as we do not answer replies.
REFLECTORS = frozenset((7, 11, 13, 15, 17, 19, 37))
UNANSWERED = REFLECTORS | {0}  # ports to which nothing is sent over UDP
_HIGHEST_REFLECTOR = max(REFLECTORS)
LARGEST_MESSAGE = 65535  # octets; what TCP's length field can say (RFC 1035 §4.2.2)
PLAIN_UDP_SIZE = 512  # octets, without EDNS (RFC 1035 §4.2.1)
HEADER_SIZE = 12
OPTION_HEADER = 4  # octets of an EDNS option before what it holds
PADDED_TO = 468  # octets; over TLS, replies are a multiple of this to those who ask for it (RFC 7830, RFC 8467 §4.1)
EXPIRE_ROOM = 8  # octets of an EXPIRE option
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


Address = IPv4Address | IPv6Address
SizeOf = Callable[[list[RRset]], "int | None"]  # an answer section → the octets of its message, None: too many
# A transfer, who asks, the octets that there are → the answer section with differences; None where they take more.
Differences = Callable[[TransferRequest, Address, int, SizeOf], "list[RRset] | None"]


def _no_differences(_transfer: TransferRequest, _address: Address, _room: int, _size_of: SizeOf) -> None:
    return None


class Pipeline:
    """Turns messages into outcomes. The attributes may be replaced between two messages, as a reload does.

    `keys` are the TSIG keys by folded name; `counters` is laid out as `nameserver.query.counters` says; `steady` is a
    clock in seconds that is never set, by which zones expire (`ServedZone.expires`). `differences` is asked for what an
    IXFR over UDP may be answered with.
    """

    __slots__ = ("counters", "differences", "keys", "limiter", "settings", "steady", "zones")

    def __init__(
        self,
        zones: ZoneSet,
        keys: Mapping[bytes, TsigKey],
        settings: QuerySettings,
        counters: CounterArray,
        steady: Callable[[], float],
    ) -> None:
        self.zones = zones
        self.keys = keys
        self.settings = settings
        self.counters = counters
        self.steady = steady
        self.limiter: RateLimiter | None = None
        self.differences: Differences = _no_differences

    def handle(
        self,
        data: bytes,
        address: IPv4Address | IPv6Address,
        port: int,
        transport: str,
        now: int,
        client: TlsClient | None = None,
    ) -> Outcome:
        """What to do about one message.

        `address` and `port` are the sender's (IPv4-mapped addresses unwrapped), `transport` is "udp" or "tcp", `now`
        whole seconds since 1970. `client`: who it is by TLS, over which a message is answered as over TCP.
        """
        if port <= _HIGHEST_REFLECTOR:
            if port == 0:
                return self._drop(slots.PORT_ZERO)
            if transport == slots.UDP and port in REFLECTORS:
                return self._drop(slots.REFLECTOR)
        try:
            request = parse_request(data)
        except Unanswerable:
            return self._drop(slots.SHORT if len(data) < HEADER_SIZE else slots.RESPONSE)
        except BadRequest as bad:
            return self._answer_malformed(bad, address, transport, now)
        self.counters[query_slot(transport, address.version, request.opcode, request.qtype)] += 1
        exchange = Exchange(request, address, transport, now, client=client)
        if request.tsig is not None:
            rejection = self._authenticate(exchange, request.tsig, data)
            if rejection is not None:
                return rejection
        return self._route(exchange)

    def answer_fault(self, data: bytes, transport: str) -> Outcome:
        """SERVFAIL to a message whose handling raised, which is a fault of ours; dropped where it cannot be read.

        Never signed: the fault may lie there. May itself raise, where the fault lies in reading requests.
        """
        try:
            request = parse_request(data)
        except WireError:
            return Outcome()
        wire = render_error(
            request.id,
            request.flags,
            request.opcode,
            request.question,
            codes.SERVFAIL,
            request.edns,
            self.settings.max_udp_size,
        )
        return self._counted(wire, codes.SERVFAIL, transport)

    def refuse_transfer(
        self, transfer: TransferRequest, address: IPv4Address | IPv6Address, rcode: int, text: str, now: int
    ) -> bytes:
        """The reply where a transfer that was allowed cannot be sent after all; signed as its request was."""
        exchange = Exchange(transfer.request, address, slots.TCP, now, transfer.key)
        outcome = self._send(exchange, refusal(rcode, codes.EDE_OTHER, text))
        return outcome.reply or b""

    def transfer_opt(self, transfer: TransferRequest, soa_expire: int, life: float | None) -> bytes:
        """The OPT record of a transfer's first message (RFC 5936 §2.2.5), or nothing where the request had none.

        `soa_expire` is that of the version sent, `life` for how long it is good where that is not the zone's own life.
        """
        edns = transfer.request.edns
        if edns is None:
            return b""
        options = transfer.options
        if life is None and transfer.zone.expires is not None:
            life = transfer.zone.expires - self.steady()
        if life is not None and is_asked(edns.options):
            options += (expire_option(soa_expire, life),)
        return pack_opt(self.settings.max_udp_size, 0, 0, edns.flags & DO, options)

    def _drop(self, reason: str) -> Outcome:
        self.counters[dropped_slot(reason)] += 1
        return Outcome()

    def _answer_malformed(
        self, bad: BadRequest, address: IPv4Address | IPv6Address, transport: str, now: int
    ) -> Outcome:
        """Stage 2. Never signed: a message that cannot be read has no signature that could be believed."""
        self.counters[query_slot(transport, address.version, bad.opcode, 0)] += 1
        if self.limiter is not None and transport == slots.UDP:
            verdict = self.limiter.judge(address, Told.ERROR, b"", now)
            if verdict is not Verdict.SEND:  # nothing to try again over TCP
                self.counters[slots.rate_limited_slot(Verdict.DROP.value)] += 1
                return Outcome()
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
        """Stages 4 to 11."""
        request = exchange.request
        if request.edns is not None:
            if request.edns.version:
                return self._send(exchange, refusal(codes.BADVERS))
            if (refused := self._check_options(exchange, request.edns)) is not None:
                return self._send(exchange, refused)
        if request.opcode not in (codes.QUERY, codes.NOTIFY):
            # An UPDATE that holds records gets this unsigned even where it is signed, knowingly against RFC 8945 §5.3:
            # its signature would have to be looked for behind records, and of those we read nothing.
            return self._send(exchange, refusal(codes.NOTIMP))
        if not request.question:
            return self._send(exchange, _answer_for_cookie(exchange, request))
        if request.opcode == codes.NOTIFY:
            acknowledgement, received = judge_notify(exchange, self.zones)
            outcome = self._send(exchange, acknowledgement)
            outcome.notify = received
            outcome.alike = received is not None and exchange.key is None and exchange.cookie is None
            outcome.refused = _refused(exchange, _REASONS.get(acknowledgement.rcode), exchange.key_name)
            return outcome
        if request.qclass != codes.IN:
            chaos = request.qclass == codes.CH
            return self._send(exchange, answer_chaos(request, self.settings) if chaos else refusal(codes.REFUSED))
        if request.qtype in (codes.AXFR, codes.IXFR):
            verdict = judge_transfer(exchange, self.zones)
            if isinstance(verdict, TransferRequest):
                if exchange.transport == slots.UDP:
                    return self._send(exchange, self._ixfr_over_udp(exchange, verdict))
                return Outcome(transfer=replace(verdict, options=self._options(exchange)))
            outcome = self._send(exchange, verdict)
            outcome.refused = _refused(exchange, _REASONS.get(verdict.rcode), exchange.key_name)
            return outcome
        if request.qtype in _META_TYPES:
            return self._send(exchange, refusal(*_META_TYPES[request.qtype]))
        return self._answer(exchange)

    def _ixfr_over_udp(self, exchange: Exchange, transfer: TransferRequest) -> Reply:
        """All differences where they fit, else our SOA alone, upon which the client comes over TCP (RFC 1995 §2)."""
        limit = self._limit(exchange.request, exchange.transport)
        if exchange.key is not None:
            limit -= signature_size(exchange.key)

        def size_of(answer: list[RRset]) -> int | None:
            trial = Reply(authoritative=True, answer=answer, options=list(self._options(exchange)))
            wire = self._render(exchange.request, trial, limit - EXPIRE_ROOM)
            return None if wire[2] & codes.TC >> 8 else len(wire)

        if (answer := self.differences(transfer, exchange.address, limit, size_of)) is not None:
            return Reply(authoritative=True, answer=answer)
        return Reply(authoritative=True, answer=[] if transfer.zone.zone is None else [transfer.zone.zone.soa])

    def _answer(self, exchange: Exchange) -> Outcome:
        """Stage 11; what everyone who sends these octets would be told may be told again without asking us."""
        request = exchange.request
        minimal = self.settings.minimal_responses
        reply = answer_query(self.zones, request, exchange.now, minimal=minimal, asker=exchange)
        outcome = self._send(exchange, reply)
        # Where limits made it what it is, or rationed hashes, or a life that is told, it was the moment's.
        personal = exchange.key is not None or exchange.limited or _asks_for_padding(request)
        if request.qtype == codes.SOA:
            served = self.zones.exact(request.qname_folded)
            personal = personal or (served is not None and depends_on_asker(served, request))
            personal = personal or (request.edns is not None and is_asked(request.edns.options))
        outcome.cookie = exchange.cookie.reply if exchange.cookie is not None else b""
        if outcome.reply is not None and not personal and not self.zones.hash_budget.was_short:
            told, name = what_is_told(self.zones, request, reply)
            truncated = outcome.reply[2] & codes.TC >> 8 != 0
            outcome.repeatable = Repeatable(
                query_slot(exchange.transport, exchange.address.version, request.opcode, request.qtype),
                response_slot(reply.rcode, exchange.transport, truncated),
                request.qtype == codes.SOA,
                dependence(self.zones, request, reply),
                told,
                None if told is Told.POSITIVE and name == request.qname_folded else name,
            )
        return outcome

    def _check_options(self, exchange: Exchange, edns: Edns) -> Reply | None:
        """Stage 4, options: the refusal of a request for its options; else the exchange knows what they say."""
        settings = self.settings
        keepalive = edns.option(codes.OPT_KEEPALIVE)
        if keepalive and exchange.transport == slots.TCP:
            return refusal(codes.FORMERR)  # a client has no timeout to tell (RFC 7828 §3.2.1)
        sent = edns.option(codes.OPT_COOKIE)
        if sent is None or not settings.cookie_secrets:
            return None
        try:
            exchange.cookie = cookie = judge(sent, exchange.address, exchange.now, settings.cookie_secrets)
        except WireError as error:
            return refusal(error.rcode)
        over_udp = exchange.transport == slots.UDP and exchange.key is None
        wants_answer = exchange.request.opcode == codes.QUERY and exchange.request.question
        if settings.require_cookies and over_udp and not cookie.valid and wants_answer:
            return refusal(codes.BADCOOKIE)
        return None

    def _limited(self, exchange: Exchange, reply: Reply, limiter: RateLimiter) -> Verdict:
        """What the limits make of an answer. Who has shown who he is, by TCP, a key or a cookie, has none."""
        request, cookie = exchange.request, exchange.cookie
        shown = exchange.transport == slots.TCP or exchange.key is not None or (cookie is not None and cookie.valid)
        if shown or (request.opcode != codes.QUERY and not reply.rcode):
            return Verdict.SEND
        told, name = what_is_told(self.zones, request, reply)
        verdict = limiter.judge(exchange.address, told, name, exchange.now)
        if verdict is not Verdict.SEND:
            exchange.limited = True
            self.counters[slots.rate_limited_slot(verdict.value)] += 1
        return verdict

    def _options(self, exchange: Exchange) -> tuple[Option, ...]:
        """The options of ours that the client asked for, each by its own, but for EXPIRE."""
        settings, edns = self.settings, exchange.request.edns
        if edns is None or not edns.options:
            return ()
        options: list[Option] = []
        if exchange.cookie is not None:
            options.append((codes.OPT_COOKIE, exchange.cookie.reply))
        if settings.nsid and edns.option(codes.OPT_NSID) is not None:
            options.append((codes.OPT_NSID, settings.nsid))
        if exchange.transport == slots.TCP and edns.option(codes.OPT_KEEPALIVE) is not None:
            tenths = min(round(settings.tcp_idle_timeout * 10), 65535)  # RFC 7828 §3.1: units of 100 ms
            options.append((codes.OPT_KEEPALIVE, tenths.to_bytes(2, "big")))
        return tuple(options)

    def _expire(self, request: Request, reply: Reply) -> tuple[Option, ...]:
        """EXPIRE, where it was asked for and the reply is the SOA of a zone of ours (RFC 7314 §3.1, §3.2)."""
        served = self.zones.exact(request.qname_folded)
        if served is None or served.expires is None or not reply.answer or reply.answer[0].type != codes.SOA:
            return ()
        soa = parse_soa(next(reply.answer[0].rdatas()))
        return (expire_option(soa.expire, served.expires - self.steady()),)

    def _send(self, exchange: Exchange, reply: Reply) -> Outcome:
        """Render within the client's limits, sign if the request was signed, count."""
        request, key = exchange.request, exchange.key
        edns = request.edns
        verdict = Verdict.SEND if self.limiter is None else self._limited(exchange, reply, self.limiter)
        if verdict is Verdict.DROP:
            return Outcome()
        if verdict is Verdict.SLIP:
            reply = Reply(rcode=reply.rcode, authoritative=reply.authoritative, truncated=True)
        if edns is not None and edns.options:
            reply.options.extend(self._options(exchange))
            if is_asked(edns.options):
                reply.options.extend(self._expire(request, reply))
        limit = self._limit(request, exchange.transport)
        room = limit if key is None else limit - signature_size(key)
        wire = self._render(request, reply, room)
        if exchange.client is not None and _asks_for_padding(request):
            size = len(wire) + OPTION_HEADER + limit - room
            if size <= limit:
                padding = min(-size % PADDED_TO, limit - size)
                reply.options.append((codes.OPT_PADDING, bytes(padding)))
                wire = self._render(request, reply, room)
        if key is not None:
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


def _asks_for_padding(request: Request) -> bool:
    """Whether the reply is to be padded, where nobody can read it on its way; what it is thus depends on the way."""
    return (
        request.edns is not None and bool(request.edns.options) and request.edns.option(codes.OPT_PADDING) is not None
    )


def _answer_for_cookie(exchange: Exchange, request: Request) -> Reply:
    """Stage 6: the reply to a query without a question, whose COOKIE option is all that is wanted (RFC 7873 §5.4)."""
    cookie = exchange.cookie
    if cookie is None or request.edns is None:
        return refusal(codes.FORMERR)
    has_bad_one = not cookie.valid and len(request.edns.option(codes.OPT_COOKIE) or b"") > CLIENT_SIZE
    return Reply(rcode=codes.BADCOOKIE if has_bad_one else codes.NOERROR)


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
