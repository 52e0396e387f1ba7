"""EDNS EXPIRE (RFC 7314): for how long what we hold of a zone is good, told to those who get the zone from us.

A zone of type "primary" is good for the SOA's expire. One that we ourselves got from somewhere is good until we would
expire it, so that it is served no longer however many secondaries it passes through. The SOA's expire stays the maximum
(RFC 7314 §4): where our own limits have us keep a zone beyond it, that is for us to answer for and nobody else.
"""

from nameserver.wire import codes

Option = tuple[int, bytes]

LARGEST = 0xFFFFFFFF  # four octets


def is_asked(options: tuple[Option, ...]) -> bool:
    """Whether a request asks for it: by an option without a value (RFC 7314 §2)."""
    return (codes.OPT_EXPIRE, b"") in options


def expire_option(soa_expire: int, left: float) -> Option:
    """The option in a reply: `left` is how many seconds of its life the zone has here, infinite for a primary zone.

    Rounded down, never below zero.
    """
    seconds = min(soa_expire, LARGEST) if left >= soa_expire else max(0, int(left))
    return codes.OPT_EXPIRE, seconds.to_bytes(4, "big")
