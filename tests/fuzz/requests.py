"""Mutated requests through the pipeline, as datagrams and as TCP messages, with zones and keys as in production.

What must hold for every input, whatever it is:

    no exception; a reply or none; none only for what is dropped by rule (no header, QR=1) or streamed (a transfer)
    a reply is one well-formed message of the request's id, no larger than the client may be sent, no records in errors
    what a signature allows happens only for octets that were signed: nothing grows on a mutated request
    a positive or negative answer is the one that the same question gets when asked plainly
    at most 1 ms CPU for a datagram, 5 ms for a TCP message

A case's first octet says how it came (0 UDP, 1 TCP; + 2 from an address that has rights), the rest is the message.
"""

from ipaddress import ip_address
from random import Random

from fuzz.mutate import LARGEST, TYPES, Mutator
from fuzz.outcome import CORPUS, Failed, Tried, timed
from fuzz.request_seeds import FRIEND, STRANGER, make_pipeline
from fuzz.wellformed import Entry, Malformed, Message, read_message
from support.pipelines import NOW

from nameserver.errors import WireError
from nameserver.query.exchange import Outcome
from nameserver.wire import codes
from nameserver.wire.request import BadRequest, Request, parse_request
from nameserver.wire.tsig import read_tsig

UDP_SECONDS, TCP_SECONDS = 0.001, 0.005
LARGEST_DATAGRAM = 4096  # the listener drops what is larger before it is parsed
ADDRESSES = (ip_address(STRANGER), ip_address(FRIEND))
ASKED_AGAIN = 0.1  # share of ordinary answers that are compared with a plain question's
ERRORS = (codes.FORMERR, codes.SERVFAIL, codes.NOTIMP, codes.REFUSED, codes.NOTAUTH)


def load_corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / "requests").glob("*.bin"))]


def signed_part(message: bytes, offset: int) -> tuple[bytes, bytes]:
    """What of a message is under its signature, but for the id, which is repeated in the record."""
    return message[2:12], message[12:offset]


class Target:
    """See the head of this file."""

    name = "requests"

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._seeds = load_corpus()
        self._mutator = Mutator(self._random, self._seeds)
        self._pipeline = make_pipeline()
        self._signed = set()
        for message in self._seeds:
            record = self._parsed(message)[0]
            if record is not None and record.tsig is not None:
                self._signed.add(signed_part(message, record.tsig.offset))

    def step(self) -> Tried:
        how = self._random.choice((0, 0, 0, 2, 1, 3))
        message = self._random.choice(self._seeds)
        if self._random.random() < 0.4:
            message = self._ask_otherwise(message)
            if self._random.random() < 0.3:
                message = self._mutator.mutate(message)
        else:
            message = self._mutator.mutate(message)
        return self.replay(bytes((how,)) + (message if how & 1 else message[:LARGEST_DATAGRAM]))

    def _ask_otherwise(self, message: bytes) -> bytes:
        """Another well-formed request: any type, class and opcode, other letters; what is around it stays."""
        data, random, end = bytearray(message), self._random, 12
        while end < len(data) and 0 < data[end] < 64:
            end += data[end] + 1
        if end + 5 > len(data):
            return message
        for _ in range(random.choice((1, 1, 2, 3))):
            how = random.randrange(6)
            if how == 0:
                data[end + 1 : end + 3] = random.randrange(65536).to_bytes(2, "big")
            elif how == 1:
                data[end + 1 : end + 3] = random.choice(TYPES).to_bytes(2, "big")
            elif how == 2:
                data[end + 3 : end + 5] = random.choice((0, 1, 1, 3, 254, 255)).to_bytes(2, "big")
            elif how == 3:
                data[2] = data[2] & 0x87 | random.randrange(16) << 3
            elif how == 4:
                data[2] ^= random.choice((1, 1, 2, 4))
                data[3] ^= 1 << random.randrange(8)
            elif end > 13:
                at = random.randrange(13, end)
                data[at] = random.choice((data[at] ^ 0x20, random.randrange(256)))
        return bytes(data)

    def replay(self, case: bytes) -> Tried:
        """Pass one case through the pipeline and judge what becomes of it. Raises `Failed`."""
        transport = "tcp" if case[0] & 1 else "udp"
        label = f"requests-{transport}"
        limit = TCP_SECONDS if transport == "tcp" else UDP_SECONDS
        address, data = ADDRESSES[case[0] >> 1 & 1], case[1:]
        try:
            outcome, seconds = timed(lambda: self._pipeline.handle(data, address, 5353, transport, NOW), limit)
        except Exception as error:
            raise Failed(f"raised {error!r}", label, case) from error
        if seconds > limit:
            raise Failed(f"took {seconds * 1000:.2f} ms of CPU", label, case)
        try:
            verdict = self._judge(data, transport, outcome)
        except (Malformed, AssertionError) as error:
            raise Failed(f"{error}; reply {outcome.reply!r:.200}", label, case) from error
        return Tried(f"{transport} {verdict}", seconds, label, case)

    def _judge(self, data: bytes, transport: str, outcome: Outcome) -> str:
        request, edns = self._parsed(data)
        self._check_rights(data, request, outcome)
        if outcome.reply is None:
            if outcome.transfer is not None:
                _claim(transport == "tcp", "a transfer over UDP")
                return "transfer"
            _claim(len(data) < 12 or bool(data[2] & 0x80), "a request was dropped")
            return "dropped"
        _claim(outcome.transfer is None, "a reply and a transfer")
        limit = LARGEST if transport == "tcp" else 512 if edns is None else max(512, min(1232, edns))
        _claim(len(outcome.reply) <= limit, f"{len(outcome.reply)} octets where {limit} are allowed")
        reply = read_message(outcome.reply)
        self._check_header(data, request, reply)
        if request is not None and reply.rcode == codes.NOERROR and reply.flags & codes.AA and not outcome.notify:
            self._check_answer(request, reply)
        return codes.RCODE_NAMES.get(reply.rcode, str(reply.rcode))

    @staticmethod
    def _parsed(data: bytes) -> tuple[Request | None, int | None]:
        """The request as parsed, and the UDP size that it announces."""
        try:
            request = parse_request(data)
        except BadRequest as bad:
            return None, None if bad.edns is None else bad.edns.udp_size
        except WireError:
            return None, None
        return request, None if request.edns is None else request.edns.udp_size

    @staticmethod
    def _check_header(data: bytes, request: Request | None, reply: Message) -> None:
        _claim(reply.id == data[0] << 8 | data[1], "the reply has another id")
        _claim(bool(reply.flags & codes.QR), "the reply is no reply")
        _claim(reply.flags >> 11 & 15 == data[2] >> 3 & 15, "the reply has another opcode")
        _claim(not reply.flags & 0x00E0, "RA, Z or AD is set")
        if reply.question:
            _claim(data[12 : 12 + len(reply.question)] == reply.question, "the reply is to another question")
        if reply.rcode in ERRORS:
            _claim(not reply.answers and not reply.authorities, "an error that holds records")
        if request is None:
            _claim(reply.rcode == codes.FORMERR, "what cannot be parsed was not answered with FORMERR")

    def _check_rights(self, data: bytes, request: Request | None, outcome: Outcome) -> None:
        """A verified signature is over octets that somebody signed, also where it changed nothing."""
        key = outcome.transfer.key if outcome.transfer is not None else None
        noted = outcome.notify.key if outcome.notify is not None else None
        if key is not None or noted is not None or _signed_well(outcome.reply):
            _claim(request is not None and request.tsig is not None, "signed though the request is not")
            _claim(signed_part(data, request.tsig.offset) in self._signed, "a mutated request passed as signed")

    def _check_answer(self, request: Request, reply: Message) -> None:
        """An answer does not depend on anything but the question, save the case of its names where room was short."""
        ordinary = request.opcode == codes.QUERY and request.qclass == codes.IN
        if not ordinary or request.qtype in (codes.AXFR, codes.IXFR) or self._random.random() > ASKED_AGAIN:
            return
        plain = b"\0\0\0\0\0\1\0\0\0\0\0\0" + request.question
        again = read_message(self._pipeline.handle(plain, ADDRESSES[0], 5353, "tcp", NOW).reply or b"")
        shown = [_folded(each) for each in (*reply.answers, *reply.authorities)]
        wanted = [_folded(each) for each in (*again.answers, *again.authorities)]
        truncated = bool(reply.flags & codes.TC)
        _claim(shown == (wanted[: len(shown)] if truncated else wanted), "not what a plain question is answered with")


def _signed_well(reply: bytes | None) -> bool:
    """Whether a reply carries a MAC and no TSIG error: so its request was taken as authentic."""
    if reply is None or reply[10:12] == b"\0\0":
        return False
    last = read_message(reply).last_offset
    try:
        record, _ = read_tsig(reply, last)
    except WireError:
        return False
    return bool(record.mac) and record.error == 0


def _folded(record: Entry) -> Entry:
    return record._replace(owner=record.owner.lower(), rdata=record.rdata.lower())


def _claim(truth: bool, otherwise: str) -> None:
    if not truth:
        raise AssertionError(otherwise)
