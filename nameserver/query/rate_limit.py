"""Response rate limiting: how often a network may be told the same thing over UDP, where senders can be forged.

An attacker who asks in his victim's name would have us flood the victim with answers. So answers are counted by the
network that they go to and by what they say, and what comes more often than a rate is not sent:

    key      network (IPv4 /24, IPv6 /56) · kind of answer · name
               positive                     the name asked for; of a wildcard's answers all together
               NXDOMAIN, NODATA, referral   the zone: forgers make up names
               error                        nothing
    account  + rate a second, never more than one second's worth · - 1 for each answer, sent or not,
             never less than a window's worth: a flood has to stop for that long before it is forgotten
    below 0  every `slip`-th answer is a bare "truncated", which sends a real client to TCP; the others are dropped

Accounts live in a table of fixed size, at the place that a keyed hash gives; who meets another's account there takes
it over. So no flood costs memory, and nobody can choose whom to collide with. Sources that showed who they are (TCP,
TSIG, a good cookie) never come here.
"""

from array import array
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


class Verdict(Enum):
    """What becomes of an answer."""

    SEND = "send"
    SLIP = "slip"  # truncated, without records
    DROP = "drop"


class Told(Enum):
    """What an answer says, as far as limits go."""

    POSITIVE = b"+"
    NODATA = b"0"
    NXDOMAIN = b"-"
    REFERRAL = b">"
    ERROR = b"!"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The settings. `rate` is answers a second; 0: no limits."""

    rate: int = 0
    slip: int = 2  # every so many-th limited answer is sent truncated; 0: none
    window: int = 15  # seconds
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()
    places: int = 1 << 17  # of the table, 12 octets each


class RateLimiter:
    """The table. `secret` keeps places from being guessed; times are whole seconds of any clock."""

    def __init__(self, limits: RateLimits, secret: bytes) -> None:
        self.limits = limits
        self._secret = secret
        self._owners = array("I", bytes(4 * limits.places))
        self._balances = array("i", bytes(4 * limits.places))
        self._times = array("I", bytes(4 * limits.places))
        self._limited = 0

    def judge(self, address: IPv4Address | IPv6Address, told: Told, name: bytes, now: int) -> Verdict:
        """Count one answer to `address` and say what becomes of it. `name` is folded; what it is depends on `told`."""
        limits = self.limits
        if self._is_exempt(address):
            return Verdict.SEND
        place, owner, balance = self._balance(address, told, name, now)
        balance = max(balance - 1, -limits.window * limits.rate)
        self._owners[place], self._times[place], self._balances[place] = owner, now & 0xFFFFFFFF, balance
        if balance >= 0:
            return Verdict.SEND
        self._limited += 1
        return Verdict.SLIP if limits.slip and self._limited % limits.slip == 0 else Verdict.DROP

    def allows(self, address: IPv4Address | IPv6Address, told: Told, name: bytes, now: int) -> bool:
        """Whether `judge` would have it sent, and then it is counted; if not, nothing is."""
        if not self._is_exempt(address) and self._balance(address, told, name, now)[2] < 1:
            return False
        return self.judge(address, told, name, now) is Verdict.SEND

    def _is_exempt(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.limits.exempt if network.version == address.version)

    def _balance(self, address: IPv4Address | IPv6Address, told: Told, name: bytes, now: int) -> tuple[int, int, int]:
        """(place in the table, its rightful owner, what that has left)."""
        limits = self.limits
        number = hash(self._secret + self._network(address) + told.value + name)
        place, owner = number % limits.places, number >> 32 & 0xFFFFFFFF
        seconds = now & 0xFFFFFFFF
        balance = limits.rate
        if self._owners[place] == owner:
            elapsed = min(seconds - self._times[place] & 0xFFFFFFFF, limits.window + 1)
            balance = min(self._balances[place] + elapsed * limits.rate, limits.rate)
        return place, owner, balance

    def _network(self, address: IPv4Address | IPv6Address) -> bytes:
        packed = address.packed
        bits = self.limits.ipv4_prefix if address.version == 4 else self.limits.ipv6_prefix
        size = 8 * len(packed)
        return (int.from_bytes(packed, "big") >> size - bits << size - bits).to_bytes(len(packed), "big")
