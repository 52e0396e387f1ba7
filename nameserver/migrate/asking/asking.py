"""Asking servers: many questions at once, each ending in a reply or in a reason of the closed vocabulary.

Off every hot path, so dnspython speaks. What is asked without recursion goes to authoritative servers, the rest to
resolvers. No answer is ever averaged: one endpoint and one transport give one result.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TypeVar

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig

from nameserver.config.model import Endpoint, Remote
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.zones.dialogue import Peer, network_failure
from nameserver.server.zones.pull import ask_once
from nameserver.wire.tsig import TsigKey

EDNS_SIZE = 1232
AS_PEERS_ASK = frozenset({"SOA", "AXFR", "IXFR"})  # types that servers do not count as questions of users
T = TypeVar("T")

_TSIG_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (dns.tsig.PeerBadKey, Reason.TSIG_BADKEY),
    (dns.tsig.PeerBadSignature, Reason.TSIG_BADSIG),
    (dns.tsig.PeerBadTime, Reason.TSIG_BADTIME),
    (dns.tsig.PeerBadTruncation, Reason.TSIG_BADTRUNC),
    (dns.tsig.BadTime, Reason.TSIG_BADTIME),
    (dns.tsig.BadKey, Reason.TSIG_BADKEY),
    (dns.tsig.BadAlgorithm, Reason.TSIG_BADALG),
    (dns.tsig.BadSignature, Reason.TSIG_BADSIG),
    (dns.message.UnknownTSIGKey, Reason.TSIG_BADKEY),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `rd`: of a resolver. `size`: EDNS buffer size in octets, 0 for none."""

    name: dns.name.Name
    type: dns.rdatatype.RdataType
    rd: bool = False
    do: bool = False
    cd: bool = False
    size: int = EDNS_SIZE

    def message(self) -> dns.message.QueryMessage:
        """A new query for it."""
        edns = {"use_edns": 0, "payload": self.size} if self.size else {"use_edns": False}
        query = dns.message.make_query(self.name, self.type, want_dnssec=self.do, **edns)
        query.flags = (dns.flags.RD if self.rd else 0) | (dns.flags.CD if self.cd else 0)
        return query


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that came back."""

    endpoint: Endpoint
    tcp: bool
    message: dns.message.Message
    seconds: float

    @property
    def rcode(self) -> str:
        """NOERROR, NXDOMAIN, …"""
        return dns.rcode.to_text(self.message.rcode())

    @property
    def authoritative(self) -> bool:
        """Whether AA is set."""
        return bool(self.message.flags & dns.flags.AA)

    def answer(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """That RRset of the answer section."""
        return _find(self.message.answer, name, rdtype)

    def authority(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """That RRset of the authority section."""
        return _find(self.message.authority, name, rdtype)


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply, or none that can be used: why, and in what words."""

    endpoint: Endpoint
    tcp: bool
    reason: Reason
    detail: str


Outcome = Reply | Silence


def _find(
    section: list[dns.rrset.RRset], name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    wanted = (name, rdtype, dns.rdataclass.IN)
    return next((rrset for rrset in section if (rrset.name, rrset.rdtype, rrset.rdclass) == wanted), None)


@dataclass(slots=True)
class Asker:
    """Sends questions. `timeout` in seconds per try, `tries` over UDP; at most `at_once` are under way.

    `source`: our address, per family that it is of. `replies` counts what came back, for progress; `asked_as_users`
    what each server has answered and counts as it counts questions of users.
    """

    timeout: float = 3.0
    tries: int = 2
    at_once: int = 64
    source: tuple[str, ...] = ()
    replies: int = 0
    asked_as_users: Counter[Endpoint] = field(default_factory=Counter)
    asked: set[Endpoint] = field(default_factory=set, repr=False)
    _places: asyncio.Semaphore | None = field(default=None, repr=False)

    async def ask(
        self, question: Question, endpoint: Endpoint, *, tcp: bool | None = None, key: TsigKey | None = None
    ) -> Outcome:
        """Ask one server. `tcp`: True or False for that transport alone; None: UDP, then TCP where it is cut short.

        Who does not know EDNS is asked again without (RFC 6891 §6.2.2), unless DNSSEC is asked for.
        """
        if self._places is None:
            self._places = asyncio.Semaphore(self.at_once)
        async with self._places:
            outcome = await self._once(question, endpoint, tcp=bool(tcp), key=key)
            if question.size and not question.do and isinstance(outcome, Reply) and outcome.rcode == "FORMERR":
                question = replace(question, size=0)  # a server from before EDNS, which is no fault of the zone's
                outcome = await self._once(question, endpoint, tcp=bool(tcp), key=key)
            if tcp is None and isinstance(outcome, Reply) and outcome.message.flags & dns.flags.TC:
                outcome = await self._once(question, endpoint, tcp=True, key=key)
        self.replies += isinstance(outcome, Reply)
        return outcome

    def source_for(self, endpoint: Endpoint) -> str | None:
        """Our address towards an endpoint that is about to be asked, where one was given for its family."""
        self.asked.add(endpoint)
        return next((source for source in self.source if (":" in source) == (":" in endpoint.host)), None)

    async def _once(self, question: Question, endpoint: Endpoint, *, tcp: bool, key: TsigKey | None) -> Outcome:
        tries = 1 if tcp else self.tries
        for turn in range(tries):
            query = question.message()
            if key is not None:
                query.use_tsig(_dnspython_key(key))
            send = self._over_tcp if tcp else self._over_udp
            began = time.monotonic()
            try:
                message = await send(query, endpoint)
                if tcp and message.flags & dns.flags.TC:
                    raise TransferError(Reason.MALFORMED, "the answer is cut short over TCP too")
                # What got no answer may never have come there: to take it off would hide a question of users.
                self.asked_as_users[endpoint] += dns.rdatatype.to_text(question.type) not in AS_PEERS_ASK
                return Reply(endpoint, tcp, message, time.monotonic() - began)
            except TransferError as error:
                failure = error
            except Exception as error:  # noqa: BLE001 - whatever a server sends is a finding, never our end
                failure = _failure(tcp, error)
            if failure.reason is not Reason.CONNECT_TIMEOUT or turn + 1 == tries:
                return Silence(endpoint, tcp, failure.reason, failure.detail)
        raise AssertionError("a loop of at least one turn that always returns")

    async def _over_udp(self, query: dns.message.QueryMessage, endpoint: Endpoint) -> dns.message.Message:
        """What is no answer to this question from there is passed over (RFC 5452 §9.1). Raises TransferError."""
        peer = Peer(Remote(str(endpoint), (endpoint,), source=self.source_for(endpoint)), endpoint, None)
        return await ask_once(peer, query.to_wire(), lambda datagram: _answer_to(query, datagram), self.timeout)

    async def _over_tcp(self, query: dns.message.QueryMessage, endpoint: Endpoint) -> dns.message.Message:
        where, source = endpoint.host, self.source_for(endpoint)
        try:
            return await dns.asyncquery.tcp(query, where, timeout=self.timeout, port=endpoint.port, source=source)
        except dns.exception.Timeout as error:
            text = f"no answer over TCP within {self.timeout:g} s"
            raise TransferError(Reason.CONNECT_TIMEOUT, text) from error


def _answer_to(query: dns.message.QueryMessage, datagram: bytes) -> dns.message.Message:
    """A datagram as the answer to a query. Raises WireError for what is none, TransferError for one that is no good."""
    try:
        head = dns.message.from_wire(datagram, question_only=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise WireError(str(error)) from error
    if not query.is_response(head):
        raise WireError("another id or question")
    try:
        return dns.message.from_wire(datagram, keyring=query.keyring, request_mac=query.mac)
    except Exception as error:
        raise _failure(False, error) from error


def _failure(tcp: bool, error: Exception) -> TransferError:
    for kind, reason in _TSIG_REASONS:
        if isinstance(error, kind):
            return TransferError(reason, str(error) or kind.__name__)
    if isinstance(error, EOFError):
        return TransferError(Reason.CLOSED_EARLY, "the server closed the connection without an answer")
    if isinstance(error, OSError):
        return network_failure(error, "TCP" if tcp else "UDP")
    return TransferError(Reason.MALFORMED, str(error) or type(error).__name__)


def _dnspython_key(key: TsigKey) -> dns.tsig.Key:
    name, _ = dns.name.from_wire(key.name, 0)
    return dns.tsig.Key(name, key.secret, f"{key.algorithm}.")
