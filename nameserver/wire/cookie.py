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
from nameserver.wire.siphash import siphash24

CLIENT_SIZE = 8
SERVER_SIZE = 16
COOKIE_SIZE = CLIENT_SIZE + SERVER_SIZE
SECRET_SIZE = 16
_MOST = 40  # octets of an option with any server's cookie (RFC 7873 §4)
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
    client, server = option[:CLIENT_SIZE], option[CLIENT_SIZE:]
    age = _age(server, now)
    signer = None if age is None else _signer(client, server, address, secrets)
    if signer == 0 and age is not None and age <= _RENEWED_AFTER:
        return Cookie(True, option)
    return Cookie(signer is not None, client + make(client, address, now, secrets[0]))


def make(client: bytes, address: IPv4Address | IPv6Address, now: int, secret: bytes) -> bytes:
    """A server cookie for a client cookie and the address that it came from (RFC 9018 §4)."""
    signed = client + _HEAD + (now & 0xFFFFFFFF).to_bytes(4, "big")
    return signed[CLIENT_SIZE:] + siphash24(secret, signed + address.packed)


def _age(server: bytes, now: int) -> int | None:
    """Seconds since a server cookie was made; None for one that is none of ours, too old, or too far ahead."""
    if len(server) != SERVER_SIZE or server[0] != _HEAD[0]:
        return None
    age = now - int.from_bytes(server[4:8], "big") & 0xFFFFFFFF
    if age >= 0x80000000:  # RFC 1982 arithmetic: times wrap around in 2106
        age -= 0x100000000
    return age if -_NEWEST <= age <= _OLDEST else None


def _signer(client: bytes, server: bytes, address: IPv4Address | IPv6Address, secrets: Sequence[bytes]) -> int | None:
    """Which of the secrets made a server cookie."""
    signed = client + server[:8] + address.packed
    for index, secret in enumerate(secrets):
        if compare_digest(siphash24(secret, signed), server[8:]):
            return index
    return None
