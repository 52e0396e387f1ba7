"""TSIG (RFC 8945), over hmac and hashlib. Time is an argument; no key ever appears in an error.

What is signed, and in which order it is judged:

    request, single reply, first of a stream      each later message of a stream (§5.3.1)
      [length + request MAC]  replies only          length + MAC of the signed message before
      message without its TSIG                      messages that came unsigned since then, whole
      key name · ANY · TTL 0 · algorithm            message without its TSIG
      time · fudge · error · other                  time · fudge

    key known? ─no─▶ BADKEY ─┐     MAC right? ─no─▶ BADSIG ─┐     time within fudge? ─no─▶ BADTIME ─┐   full MAC?
         └────yes────────────┼──────────└──yes──────────────┼───────────────└──yes──────────────────┼──────┤
                  reply unsigned, MAC empty        reply unsigned, MAC empty           reply signed ┴─ no ─▶ BADTRUNC

The order is not a detail: to judge the time first and then sign the answer hands out signatures to people who have no
key (§5.2; CVE-2017-3142, CVE-2017-11104). The MAC is compared over the full digest: the sender does not choose how many
octets of it count.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, NoReturn

from nameserver.errors import Reason, TransferError, WireError
from nameserver.wire import codes
from nameserver.wire.failures import rcode_failure
from nameserver.wire.names import read_name, read_plain_name, skip_name, to_text
from nameserver.wire.rrset import TAIL

FUDGE = 300  # seconds (RFC 8945 §10)
MAX_UNSIGNED = 99  # messages between two signed ones (RFC 8945 §5.3.1)

_COUNTS = Struct("!HHHH")
_TIMERS = Struct("!HIH")  # time signed (48 bits), fudge
_VARIABLES_HEAD = b"\x00\xff\x00\x00\x00\x00"  # class ANY, TTL 0
_RR_HEAD = b"\x00\xfa\x00\xff\x00\x00\x00\x00"  # type TSIG, class ANY, TTL 0
_ANY_AND_ZERO = (codes.ANY_CLASS, 0)


class Algorithm(NamedTuple):
    """An HMAC algorithm: `wire` is its folded name in wire form, `digest_size` is in octets."""

    name: str
    wire: bytes
    hash_name: str
    digest_size: int

    @property
    def min_mac_size(self) -> int:
        """The shortest MAC that may be sent at all, in octets (RFC 8945 §5.2.2.1)."""
        return max(10, self.digest_size // 2)


def _algorithm(name: str, hash_name: str, digest_size: int) -> Algorithm:
    return Algorithm(name, bytes((len(name),)) + name.encode() + b"\x00", hash_name, digest_size)


ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        _algorithm("hmac-sha256", "sha256", 32),
        _algorithm("hmac-sha384", "sha384", 48),
        _algorithm("hmac-sha512", "sha512", 64),
        _algorithm("hmac-sha224", "sha224", 28),
        _algorithm("hmac-sha1", "sha1", 20),
    )
}
"""Every algorithm we speak, by name. HMAC-MD5 is not among them (RFC 8945 §6: MUST NOT be used)."""


@dataclass(frozen=True, slots=True, repr=False)
class TsigKey:
    """A shared secret. Its repr never shows the secret."""

    name: bytes  # folded absolute wire name
    algorithm: str  # "hmac-sha256", …: a key of ALGORITHMS
    secret: bytes

    def __repr__(self) -> str:
        return f"TsigKey(name={self.name!r}, algorithm={self.algorithm!r}, secret=<hidden>)"

    @property
    def fingerprint(self) -> str:
        """First 8 hex digits of the secret's SHA-256: lets two operators compare keys without showing them."""
        return hashlib.sha256(self.secret).hexdigest()[:8]


class TsigRecord(NamedTuple):
    """A TSIG record as read, nothing in it verified (RFC 8945 §4.2)."""

    key_name: bytes  # folded wire name
    algorithm: bytes  # folded wire name
    time_signed: int  # seconds since 1970, 48 bits
    fudge: int  # seconds
    mac: bytes
    original_id: int
    error: int
    other: bytes
    offset: int  # where the record starts in its message

    @property
    def server_time(self) -> int | None:
        """What a BADTIME reply carries in its other data: the server's time. None where it carries none."""
        return int.from_bytes(self.other, "big") if len(self.other) == 6 else None


class Verified(NamedTuple):
    """A request's signature is good. `mac` is what the reply's signature starts from."""

    key: TsigKey
    mac: bytes


class TsigFailure(NamedTuple):
    """A request's signature is not good. `error` goes into the reply's TSIG; `key` is None where none can be used."""

    error: int  # codes.BADKEY, BADSIG, BADTIME, BADTRUNC
    reason: Reason
    key: TsigKey | None
    detail: str = ""


def read_tsig(message: bytes, offset: int) -> tuple[TsigRecord, int]:
    """The TSIG record at `offset`, and the offset of what follows it.

    Raises `WireError` (FORMERR) when it is cut short, is not class ANY with TTL 0, has a compressed algorithm name, or
    when its fields do not fill its rdata exactly.
    """
    start = offset
    key_name, offset = read_name(message, offset)
    if offset + 10 > len(message):
        raise WireError("a TSIG record is cut short")
    rdtype, rdclass, ttl, size = TAIL.unpack_from(message, offset)
    offset += 10
    end = offset + size
    if rdtype != codes.TSIG or (rdclass, ttl) != _ANY_AND_ZERO:
        raise WireError("a TSIG record has a class other than ANY or a TTL other than 0")
    if end > len(message):
        raise WireError("a TSIG record runs past the end of the message")
    algorithm, offset = read_plain_name(message, offset)
    if offset + 10 > end:
        raise WireError("a TSIG record is cut short")
    time_signed = int.from_bytes(message[offset : offset + 6], "big")
    fudge = int.from_bytes(message[offset + 6 : offset + 8], "big")
    mac_start = offset + 10
    offset = mac_start + int.from_bytes(message[offset + 8 : mac_start], "big")
    if offset + 6 > end:
        raise WireError("a TSIG record's MAC runs past the end of the record")
    mac = message[mac_start:offset]
    original_id, error, other_size = (int.from_bytes(message[offset + n : offset + n + 2], "big") for n in (0, 2, 4))
    offset += 6
    if offset + other_size != end:
        raise WireError("a TSIG record's fields do not fill it exactly")
    other = message[offset:end]
    record = TsigRecord(key_name.lower(), algorithm.lower(), time_signed, fudge, mac, original_id, error, other, start)
    return record, end


def find_tsig(message: bytes, expected_key: bytes = b"") -> TsigRecord | None:
    """The TSIG record that ends the message, or None when its last record is another one.

    With `expected_key` (folded) the record is first looked for from the end, so that a transfer message of thousands of
    records need not be walked a second time; a wrong hit there cannot do harm, as the MAC covers every octet before it.
    Raises `WireError` on a message that cannot be walked, or a TSIG record that `read_tsig` refuses.
    """
    if len(message) < 12:
        raise WireError("a message is shorter than its header")
    if message[10:12] == b"\x00\x00":
        return None
    if expected_key:
        position = message.rfind(_RR_HEAD, max(12, len(message) - 512))
        size = int.from_bytes(message[position + 8 : position + 10], "big")
        start = position - len(expected_key)
        if position >= 0 and position + 10 + size == len(message) and message[start:position].lower() == expected_key:
            return read_tsig(message, start)[0]
    return _walk_to_tsig(message)


def _walk_to_tsig(message: bytes) -> TsigRecord | None:
    questions, answers, authorities, additionals = _COUNTS.unpack_from(message, 4)
    offset = 12
    for _ in range(questions):
        offset = skip_name(message, offset) + 4
    for _ in range(answers + authorities + additionals - 1):
        offset = skip_name(message, offset) + 10
        if offset > len(message):
            raise WireError("a record is cut short")
        offset += message[offset - 2] << 8 | message[offset - 1]
    end_of_owner = skip_name(message, offset)
    if message[end_of_owner : end_of_owner + 2] != b"\x00\xfa":
        return None
    record, end = read_tsig(message, offset)
    if end != len(message):
        raise WireError("octets follow the TSIG record")
    return record


def strip_tsig(message: bytes, record: TsigRecord) -> bytes:
    """The message without its TSIG record and with ARCOUNT one lower."""
    return message[:10] + _less_one(message) + message[12 : record.offset]


def _less_one(message: bytes) -> bytes:
    count = message[10] << 8 | message[11]
    return (count - 1 & 0xFFFF).to_bytes(2, "big")


def _signed_part(message: bytes, record: TsigRecord) -> bytes:
    """What the sender put through the HMAC: the message as it was before the TSIG (RFC 8945 §4.3.2)."""
    return b"%b%b%b%b" % (
        record.original_id.to_bytes(2, "big"), message[2:10], _less_one(message), message[12 : record.offset]
    )  # fmt: skip


def _timers(time_signed: int, fudge: int) -> bytes:
    return _TIMERS.pack(time_signed >> 32 & 0xFFFF, time_signed & 0xFFFFFFFF, fudge)


def _variables(key_name: bytes, algorithm: bytes, time_signed: int, fudge: int, error: int, other: bytes) -> bytes:
    """RFC 8945 §4.3.3."""
    return b"".join((
        key_name, _VARIABLES_HEAD, algorithm, _timers(time_signed, fudge),
        error.to_bytes(2, "big"), len(other).to_bytes(2, "big"), other,
    ))  # fmt: skip


def _with_length(mac: bytes) -> bytes:
    """A MAC as it enters a digest (RFC 8945 §4.3.1); nothing where there is none."""
    return len(mac).to_bytes(2, "big") + mac if mac else b""


def _append(
    message: bytes,
    key_name: bytes,
    algorithm: bytes,
    time_signed: int,
    fudge: int,
    mac: bytes,
    error: int,
    other: bytes,
) -> bytes:
    """The message with a TSIG record behind it and ARCOUNT one higher."""
    rdata = b"".join((
        algorithm, _timers(time_signed, fudge), len(mac).to_bytes(2, "big"), mac, message[:2],
        error.to_bytes(2, "big"), len(other).to_bytes(2, "big"), other,
    ))  # fmt: skip
    count = (message[10] << 8 | message[11]) + 1
    return b"".join((
        message[:10], count.to_bytes(2, "big"), message[12:],
        key_name, _RR_HEAD, len(rdata).to_bytes(2, "big"), rdata,
    ))  # fmt: skip


def signature_size(key: TsigKey) -> int:
    """Octets that `sign` adds to a message: what has to be left free for it, 358 at the most."""
    algorithm = ALGORITHMS[key.algorithm]
    return len(key.name) + 10 + len(algorithm.wire) + 16 + algorithm.digest_size


def sign(
    message: bytes,
    key: TsigKey,
    now: int,
    request_mac: bytes = b"",
    *,
    fudge: int = FUDGE,
    error: int = 0,
    other: bytes = b"",
) -> tuple[bytes, bytes]:
    """Sign a request, or with `request_mac` the single reply to one. Returns the signed message and its MAC.

    `now` is in whole seconds since 1970. ARCOUNT must be below 65535.
    """
    algorithm = ALGORITHMS[key.algorithm]
    variables = _variables(key.name, algorithm.wire, now, fudge, error, other)
    mac = hmac.digest(key.secret, _with_length(request_mac) + message + variables, algorithm.hash_name)
    return _append(message, key.name, algorithm.wire, now, fudge, mac, error, other), mac


def verify_request(
    message: bytes, record: TsigRecord, keys: Mapping[bytes, TsigKey], now: int
) -> Verified | TsigFailure:
    """Judge a request's signature in the order drawn above (RFC 8945 §5.2).

    `keys` is by folded name. Raises `WireError` (FORMERR) for a MAC longer than the digest, or shorter than both
    protocol minimums allow: that is a broken message rather than a bad signature (§5.2.2.1).

    Of §5.2.3 one SHOULD is left out, knowingly: to remember the latest time signed under each key and refuse what is
    older. One client's datagrams overtake each other and are spread over processes; BIND, Knot, NSD and PowerDNS do not
    do it either (tried). What can be repeated within the fudge is a question, which changes nothing here.
    """
    key = keys.get(record.key_name)
    if key is None or ALGORITHMS[key.algorithm].wire != record.algorithm:
        detail = "unknown key" if key is None else "the key is for another algorithm"
        return TsigFailure(codes.BADKEY, Reason.TSIG_BADKEY, None, f"{to_text(record.key_name)}: {detail}")
    algorithm = ALGORITHMS[key.algorithm]
    size = len(record.mac)
    if size < algorithm.min_mac_size or size > algorithm.digest_size:
        raise WireError(f"a TSIG MAC of {size} octets is not possible with {algorithm.name}")
    variables = _variables(key.name, algorithm.wire, record.time_signed, record.fudge, record.error, record.other)
    mac = hmac.digest(key.secret, _signed_part(message, record) + variables, algorithm.hash_name)
    if not hmac.compare_digest(mac[:size], record.mac):
        return TsigFailure(codes.BADSIG, Reason.TSIG_BADSIG, key, f"{to_text(key.name)}: the signature is wrong")
    if abs(now - record.time_signed) > record.fudge:
        return TsigFailure(codes.BADTIME, Reason.TSIG_BADTIME, key, _describe_skew("the client", record, now))
    if size != algorithm.digest_size:
        return TsigFailure(codes.BADTRUNC, Reason.TSIG_BADTRUNC, key, f"the MAC is cut to {size} octets")
    return Verified(key, record.mac)


def _describe_skew(who: str, record: TsigRecord, now: int) -> str:
    skew = record.time_signed - now
    direction = "ahead of" if skew > 0 else "behind"
    return f"{who}'s clock is {abs(skew)} s {direction} ours, {record.fudge} s are allowed"


def error_reply(message: bytes, record: TsigRecord, failure: TsigFailure, now: int, limit: int = 65535) -> bytes:
    """The unsigned NOTAUTH reply `message` with the TSIG that says what was wrong (RFC 8945 §5.2, §5.3.2).

    BADKEY and BADSIG: the MAC is empty. BADTIME: signed, with the request's time and fudge so that the client can
    verify it, and our time in the other data. BADTRUNC: signed. What exceeds `limit` octets (a stranger's key and
    algorithm names of 255 octets over 512-octet UDP) goes without its question, or failing that without its TSIG.
    """
    key = failure.key
    if key is None or failure.error in (codes.BADKEY, codes.BADSIG):
        signed = _unsigned_error(message, record, failure.error, now)
        if len(signed) > limit:
            signed = _unsigned_error(without_question(message), record, failure.error, now)
        return signed if len(signed) <= limit else message
    time_signed, fudge, other = now, FUDGE, b""
    if failure.error == codes.BADTIME:
        time_signed, fudge, other = record.time_signed, record.fudge, now.to_bytes(6, "big")
    if len(message) + signature_size(key) + len(other) > limit:
        message = without_question(message)
    return sign(message, key, time_signed, record.mac, fudge=fudge, error=failure.error, other=other)[0]


def _unsigned_error(message: bytes, record: TsigRecord, error: int, now: int) -> bytes:
    return _append(message, record.key_name, record.algorithm, now, FUDGE, b"", error, b"")


def without_question(message: bytes) -> bytes:
    """A reply that holds at most one question and no name but the root behind it, without the question and with TC set.

    The last resort for a reply that has no room for its signature: names of 255 octets in the question and of the key
    take it all. RFC 8945 §5.3 keeps the question even then, which cannot be done; TC has the client come back by TCP.
    """
    questions = message[4:6]
    after = 12 if questions == b"\0\0" else skip_name(message, 12) + 4
    return b"%b%c%b\0\0%b%b" % (message[:2], message[2] | codes.TC >> 8, message[3:4], message[6:12], message[after:])


class StreamVerifier:
    """Verifies a reply of one or many messages to a request that we signed (RFC 8945 §5.3.1, §5.4).

    One per exchange. A message that is refused changes nothing, so over UDP the caller may drop it, go on listening for
    the true reply and check that with the same verifier; over TCP it ends the exchange.
    """

    __slots__ = ("_context", "_key", "_request_mac", "_unsigned", "skew")

    def __init__(self, key: TsigKey, request_mac: bytes) -> None:
        self._key = key
        self._request_mac = request_mac
        self._context: hmac.HMAC | None = None  # prior MAC and everything unsigned since; None before the first message
        self._unsigned = 0
        self.skew: float | None = None
        """Seconds that the peer's clock is ahead of ours (negative: behind), as last seen under a good signature."""

    def check(self, message: bytes, now: int) -> bytes:
        """Verify the next message; returns it without its TSIG record.

        An unsigned message between signed ones is returned as it is: *nothing from it may take effect before*
        `finish` has returned. Raises `TransferError` with one of the `tsig-…` reasons, or `malformed`.
        """
        try:
            record = find_tsig(message, self._key.name)
        except WireError as error:
            raise TransferError(Reason.MALFORMED, str(error)) from None
        if record is None:
            return self._take_unsigned(message)
        if record.error:
            self._raise_peer_error(message, record, now)
        self._check_key(record)
        if not hmac.compare_digest(self._expected_mac(message, record), record.mac):
            detail = f"the primary's signature under key {to_text(self._key.name)} is wrong"
            raise TransferError(Reason.TSIG_BADSIG, detail)
        self.skew = float(record.time_signed - now)
        if abs(now - record.time_signed) > record.fudge:
            raise TransferError(Reason.TSIG_BADTIME, _describe_skew("the primary", record, now))
        self._context = self._new_context(record.mac)
        self._unsigned = 0
        return strip_tsig(message, record)

    def finish(self) -> None:
        """To be called after the last message. Raises `TransferError` TSIG_MISSING unless that one was signed."""
        if self._context is None:
            raise TransferError(Reason.TSIG_MISSING, "the primary sent no signed message")
        if self._unsigned:
            raise TransferError(Reason.TSIG_MISSING, "the last message of the reply is not signed")

    def _new_context(self, mac: bytes) -> hmac.HMAC:
        context = hmac.new(self._key.secret, digestmod=ALGORITHMS[self._key.algorithm].hash_name)
        context.update(_with_length(mac))
        return context

    def _expected_mac(self, message: bytes, record: TsigRecord) -> bytes:
        if self._context is None:
            context = self._new_context(self._request_mac)
            context.update(_signed_part(message, record))
            variables = (record.time_signed, record.fudge, record.error, record.other)
            context.update(_variables(self._key.name, record.algorithm, *variables))
        else:
            context = self._context.copy()
            context.update(_signed_part(message, record))
            context.update(_timers(record.time_signed, record.fudge))
        return context.digest()

    def _take_unsigned(self, message: bytes) -> bytes:
        if self._context is None:
            if rcode := message[3] & 15:
                # PowerDNS answers a wrong key, secret or clock so; the RCODE says more than the missing signature.
                raise rcode_failure(rcode, ", unsigned, to our signed request: it may not know the key, or the time")
            raise TransferError(Reason.TSIG_MISSING, "the primary's reply is not signed, though our request was")
        if self._unsigned == MAX_UNSIGNED:
            raise TransferError(Reason.TSIG_GAP, f"more than {MAX_UNSIGNED} messages in a row are not signed")
        self._unsigned += 1
        self._context.update(message)
        return message

    def _check_key(self, record: TsigRecord) -> None:
        if record.key_name != self._key.name:
            detail = f"the reply is signed with key {to_text(record.key_name)}, not {to_text(self._key.name)}"
            raise TransferError(Reason.TSIG_BADKEY, detail)
        algorithm = ALGORITHMS[self._key.algorithm]
        if record.algorithm != algorithm.wire:
            detail = f"the reply is signed with {to_text(record.algorithm)}, not {algorithm.name}"
            raise TransferError(Reason.TSIG_BADALG, detail)
        if len(record.mac) < algorithm.digest_size:
            raise TransferError(Reason.TSIG_BADTRUNC, f"the reply's MAC is cut to {len(record.mac)} octets")

    def _raise_peer_error(self, message: bytes, record: TsigRecord, now: int) -> NoReturn:
        """The peer refuses our signature. Mostly not authenticated, but it ends the exchange whoever says so (§5.4)."""
        key = to_text(self._key.name)
        if record.error == codes.BADKEY:
            raise TransferError(Reason.TSIG_BADKEY, f"primary says that it does not know key {key} with our algorithm")
        if record.error == codes.BADSIG:
            raise TransferError(Reason.TSIG_BADSIG, f"primary says that our signature under key {key} is wrong")
        if record.error == codes.BADTRUNC:
            raise TransferError(Reason.TSIG_BADTRUNC, "primary says that our MAC is too short")
        if record.error != codes.BADTIME:
            raise TransferError(Reason.TSIG_BADSIG, f"primary says TSIG error {record.error}")
        # NSD (4.6.1) sends this error with an empty MAC, where §5.2.3 wants it signed. What it then says of its clock
        # is shown as its word, which is what an operator needs; it is no observed skew, since anyone may say it.
        signed = hmac.compare_digest(self._expected_mac(message, record), record.mac)
        says = "primary says" if signed else "primary says, unsigned,"
        if record.server_time is None:
            raise TransferError(Reason.TSIG_BADTIME, f"{says} that our clock and its own are too far apart")
        skew = record.server_time - now
        if signed:
            self.skew = float(skew)
        direction = "ahead of" if skew > 0 else "behind"
        raise TransferError(Reason.TSIG_BADTIME, f"{says} that its clock is {abs(skew)} s {direction} ours")


class StreamSigner:
    """Signs a reply of many messages, each of them (RFC 8945 §5.3.1)."""

    __slots__ = ("_first", "_key", "_mac")

    def __init__(self, key: TsigKey, request_mac: bytes) -> None:
        self._key = key
        self._mac = request_mac
        self._first = True

    def sign(self, message: bytes, now: int) -> bytes:
        """The next message, signed. It grows by `signature_size(key)` octets."""
        if self._first:
            self._first = False
            signed, self._mac = sign(message, self._key, now, self._mac)
            return signed
        algorithm = ALGORITHMS[self._key.algorithm]
        digested = _with_length(self._mac) + message + _timers(now, FUDGE)
        self._mac = hmac.digest(self._key.secret, digested, algorithm.hash_name)
        return _append(message, self._key.name, algorithm.wire, now, FUDGE, self._mac, 0, b"")
