"""Who may stay connected: a bounded number of clients, of whom the longest idle makes room for a newcomer.

    newcomer ─▶ its address has its share  ─▶ the longest idle of that address goes
             ─▶ all places are taken       ─▶ the longest idle of all goes; but where the newcomer's address has more
                                              than its part of the places, one of that address
             ─▶ nobody can be spared       ─▶ the newcomer goes

So a flood of connections, however many and from wherever, is at the expense of the flood: who connects and asks at once
is answered, since it takes a whole set of newcomers to push him out. Turning newcomers away instead would leave the
server to those who came first, which is what a flood is. Idle is counted from the last whole message, so octets that
trickle in keep no place. Clients to whom a zone is being sent are spared: they were allowed to ask for it.

IPv4 clients count by address, IPv6 clients by /64, which is what one customer has.
"""

from collections import OrderedDict
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, Protocol, TypeVar


class Client(Protocol):
    """What a place is given to. Equal to nothing but itself."""

    group: bytes  # `group_of` its address

    @property
    def can_be_spared(self) -> bool:
        """Whether it may be cut off for another."""

    def displace(self) -> None:
        """Cut it off. It has left already."""


C = TypeVar("C", bound=Client)


def group_of(address: IPv4Address | IPv6Address) -> bytes:
    """Whom a client is counted with."""
    return address.packed if address.version == 4 else address.packed[:8]


class Clients(Generic[C]):
    """The clients of one process, in the order of their last sign of life."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._all: OrderedDict[C, None] = OrderedDict()
        self._groups: dict[bytes, OrderedDict[C, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[C]:
        return iter(self._all)

    @property
    def full(self) -> bool:
        """Whether a newcomer displaces somebody."""
        return len(self._all) >= self._most

    def enter(self, client: C) -> bool:
        """Give the client a place, at another's expense where there is none; False where nobody can be spared."""
        group = self._groups.get(client.group)
        held = len(group) if group else 0
        if held >= self._most_per_address:
            if group is None or not self._displace_one(group):
                return False
        elif self.full:
            part = self._most // max(1, len(self._groups))
            of_its_own = group is not None and held >= part and self._displace_one(group)
            if not of_its_own and not self._displace_one(self._all):
                return False
        self._all[client] = None
        # Not `group`: it is gone where its last member was displaced.
        self._groups.setdefault(client.group, OrderedDict())[client] = None
        return True

    def touch(self, client: C) -> None:
        """It has given a sign of life; no matter when it has left."""
        if client in self._all:
            self._all.move_to_end(client)
            self._groups[client.group].move_to_end(client)

    def leave(self, client: C) -> None:
        """Its place is free, if it had one."""
        if client in self._all:
            del self._all[client]
            group = self._groups[client.group]
            del group[client]
            if not group:
                del self._groups[client.group]

    def make_room(self, places: int) -> None:
        """Cut off some of the longest idle, for want of something that each of them holds."""
        for _ in range(places):
            if not self._displace_one(self._all):
                return

    def _displace_one(self, among: "OrderedDict[C, None]") -> bool:
        for _ in range(len(among)):
            client = next(iter(among))
            if client.can_be_spared:
                self.leave(client)
                client.displace()
                return True
            self.touch(client)  # so that whoever comes next need not look at it first
        return False
