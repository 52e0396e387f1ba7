"""DNS cookies (RFC 7873) in the form that all servers of one address can share (RFC 9018).

    option   client cookie (8) · server cookie (16)
    server   version 1 · reserved (3) · time (4) · SipHash-2-4 of everything before it and the client's address (8)

A server cookie shows that its sender can receive what is sent to its address: that it is no forger. It says nothing
else, so a bad one is treated as none.
"""

from collections.abc import Sequence
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.siphash import siphash24, siphash24_many

CLIENT_SIZE = 8
SERVER_SIZE = 16
COOKIE_SIZE = CLIENT_SIZE + SERVER_SIZE
SECRET_SIZE = 16
_MOST = 40  # octets of an option with any server's cookie (RFC 7873 §4)
_SIGNED = 16  # octets of an option that its hash covers, the address besides
_HEAD = b"\1\0\0\0"  # version, reserved
_OLDEST, _NEWEST = 3600, 300  # seconds before and after now (RFC 9018 §4.3)
_RENEWED_AFTER = 1800  # seconds


class Cookie(NamedTuple):
    """What a request's COOKIE option comes to: whether it is good, and the option of the reply."""

    valid: bool
    reply: bytes


def judge(option: bytes, address: IPv4Address | IPv6Address, now: int, secrets: Sequence[bytes]) -> Cookie:
    """Judge an option sent from `address`; `now` is seconds since 1970.

    The first of `secrets` makes cookies, all of them are accepted, so that a new one can be brought in everywhere
    before it is used (RFC 9018 §5). Raises `WireError` for an option of a length that cannot be (RFC 7873 §5.2.2).
    """
    size = len(option)
    if size != CLIENT_SIZE and not 2 * CLIENT_SIZE <= size <= _MOST:
        raise WireError(f"a COOKIE option has {size} octets", codes.FORMERR)
    return judge_many([(option, address.packed)], now, secrets)[0]


def judge_many(sent: Sequence[tuple[bytes, bytes]], now: int, secrets: Sequence[bytes]) -> list[Cookie]:
    """The same for many options of a length that can be, each with the address that it came from, in network order.

    The addresses are of one family. Hashes are computed all at once, which is what makes them cheap.
    """
    stamp = _stamp(now)
    signers = _signers(sent, now, secrets)
    echoed = {index for index, (signer, age) in signers.items() if signer == 0 and age <= _RENEWED_AFTER}
    anew = [index for index in range(len(sent)) if index not in echoed]
    signed = [sent[index][0][:CLIENT_SIZE] + stamp for index in anew]
    hashes = siphash24_many(secrets[0], [each + sent[index][1] for each, index in zip(signed, anew, strict=True)])
    cookies = [Cookie(True, option) for option, _ in sent]
    for index, each, found in zip(anew, signed, hashes, strict=True):
        cookies[index] = Cookie(index in signers, each + found)
    return cookies


def make(client: bytes, address: IPv4Address | IPv6Address, now: int, secret: bytes) -> bytes:
    """A server cookie for a client cookie and the address that it came from (RFC 9018 §4)."""
    stamp = _stamp(now)
    return stamp + siphash24(secret, client + stamp + address.packed)


def _stamp(now: int) -> bytes:
    return _HEAD + (now & 0xFFFFFFFF).to_bytes(4, "big")


def _age(server: bytes, now: int) -> int | None:
    """Seconds since a server cookie was made; None for one that is none of ours, too old, or too far ahead."""
    if len(server) != SERVER_SIZE or server[0] != _HEAD[0]:
        return None
    age = now - int.from_bytes(server[4:8], "big") & 0xFFFFFFFF
    if age >= 0x80000000:  # RFC 1982 arithmetic: times wrap around in 2106
        age -= 0x100000000
    return age if -_NEWEST <= age <= _OLDEST else None


def _signers(sent: Sequence[tuple[bytes, bytes]], now: int, secrets: Sequence[bytes]) -> dict[int, tuple[int, int]]:
    """Of the options with good server cookies, by index: (which of the secrets made it, its age in seconds)."""
    ages = {
        index: age
        for index, (option, _) in enumerate(sent)
        if len(option) > CLIENT_SIZE and (age := _age(option[CLIENT_SIZE:], now)) is not None
    }
    signers: dict[int, tuple[int, int]] = {}
    for number, secret in enumerate(secrets):
        unsigned = [index for index in ages if index not in signers]
        hashes = siphash24_many(secret, [sent[index][0][:_SIGNED] + sent[index][1] for index in unsigned])
        for index, found in zip(unsigned, hashes, strict=True):
            if compare_digest(found, sent[index][0][_SIGNED:]):
                signers[index] = number, ages[index]
    return signers
