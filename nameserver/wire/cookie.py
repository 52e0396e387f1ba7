"""DNS cookies (RFC 7873) in the form that all servers of one address can share (RFC 9018).

    option   client cookie (8) · server cookie (16)
    server   version 1 · reserved (3) · time (4) · SipHash-2-4 of everything before it and the client's address (8)

A server cookie shows that its sender can receive what is sent to its address: that it is no forger. It says nothing
else, so a bad one is treated as none.
"""

from collections.abc import Collection, Sequence
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.siphash import BLOCK, siphash24_blocks

CLIENT_SIZE = 8
SERVER_SIZE = 16
COOKIE_SIZE = CLIENT_SIZE + SERVER_SIZE
SECRET_SIZE = 16
_MOST = 40  # octets of an option with any server's cookie (RFC 7873 §4)
_SIGNED = 16  # octets of an option that its hash covers, the address besides
_HEAD = b"\1\0\0\0"  # version, reserved
_TIME = 4  # octets
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
    replies, valid = judge_many([option], [address.packed], now, secrets)
    return Cookie(bool(valid), replies[0])


def judge_many(
    options: Sequence[bytes], addresses: Sequence[bytes], now: int, secrets: Sequence[bytes]
) -> tuple[list[bytes], Collection[int]]:
    """The same for many options of a length that can be: (the options of the replies, the indexes of the good ones).

    `addresses` are those that they came from, in network order, all of one family. Hashes are computed all at once,
    which is what makes them cheap.
    """
    stamp = _stamp(now)
    clients = [option[:CLIENT_SIZE] for option in options]
    if max(map(len, options), default=0) == CLIENT_SIZE:
        hashes = _hashes(secrets[0], clients, stamp, addresses)
        return [client + stamp + found for client, found in zip(clients, hashes, strict=True)], ()
    signers = _signers(options, addresses, now, secrets)
    replies = list(options)  # a good one that is not too old is sent back as it is
    fresh = {index for index, (signer, age) in signers.items() if signer == 0 and age <= _RENEWED_AFTER}
    anew = [index for index in range(len(options)) if index not in fresh]
    hashes = _hashes(secrets[0], [clients[index] for index in anew], stamp, [addresses[index] for index in anew])
    for index, found in zip(anew, hashes, strict=True):
        replies[index] = clients[index] + stamp + found
    return replies, signers


def _hashes(
    secret: bytes, clients: Sequence[bytes], stamps: Sequence[bytes] | bytes, addresses: Sequence[bytes]
) -> list[bytes]:
    """What server cookies end in: for each client cookie, with its stamp or one for all of them, and each address."""
    if not addresses:
        return []
    size = len(addresses[0])
    starts = range(0, size - BLOCK + 1, BLOCK)
    blocks = [clients, stamps, *([address[start : start + BLOCK] for address in addresses] for start in starts)]
    ends = addresses if size < BLOCK else [address[size - size % BLOCK :] for address in addresses]
    return siphash24_blocks(secret, blocks, ends, CLIENT_SIZE + len(_HEAD) + _TIME + size)


def make(client: bytes, address: IPv4Address | IPv6Address, now: int, secret: bytes) -> bytes:
    """A server cookie for a client cookie and the address that it came from (RFC 9018 §4)."""
    stamp = _stamp(now)
    return stamp + _hashes(secret, [client], stamp, [address.packed])[0]


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


def _signers(
    options: Sequence[bytes], addresses: Sequence[bytes], now: int, secrets: Sequence[bytes]
) -> dict[int, tuple[int, int]]:
    """Of the options with good server cookies, by index: (which of the secrets made it, its age in seconds)."""
    ages = {
        index: age
        for index, option in enumerate(options)
        if len(option) > CLIENT_SIZE and (age := _age(option[CLIENT_SIZE:], now)) is not None
    }
    signers: dict[int, tuple[int, int]] = {}
    for number, secret in enumerate(secrets):
        unsigned = [index for index in ages if index not in signers]
        sent = [options[index] for index in unsigned]
        clients, stamps = [each[:CLIENT_SIZE] for each in sent], [each[CLIENT_SIZE:_SIGNED] for each in sent]
        hashes = _hashes(secret, clients, stamps, [addresses[index] for index in unsigned])
        for index, found in zip(unsigned, hashes, strict=True):
            if compare_digest(found, options[index][_SIGNED:]):
                signers[index] = number, ages[index]
    return signers
