"""Who gets a place, and whose."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.server.answering.clients import Clients, group_of


class Guest:
    """A client of some address; it remembers whether it had to go."""

    def __init__(self, address: str, spared: bool = True) -> None:
        self.group = group_of(ip_address(address))
        self.can_be_spared = spared
        self.gone = False

    def displace(self) -> None:
        self.gone = True


def entered(clients: Clients[Guest], *addresses: str) -> list[Guest]:
    guests = [Guest(address) for address in addresses]
    assert all(clients.enter(guest) for guest in guests)
    return guests


def test_the_longest_idle_goes_and_a_sign_of_life_makes_another_the_longest() -> None:
    clients: Clients[Guest] = Clients(3, 3)
    first, second, third = entered(clients, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    clients.touch(first)
    entered(clients, "192.0.2.4")
    assert [each.gone for each in (first, second, third)] == [False, True, False]
    assert len(clients) == 3


def test_an_address_with_its_share_displaces_one_of_its_own() -> None:
    clients: Clients[Guest] = Clients(10, 2)
    other, first, _ = entered(clients, "192.0.2.9", "192.0.2.1", "192.0.2.1")
    entered(clients, "192.0.2.1")
    assert (first.gone, other.gone, len(clients)) == (True, False, 3)


def test_in_a_full_house_who_has_more_than_his_part_is_displaced_by_his_own_kind() -> None:
    """A flood from few addresses leaves the idle connections of all others alone."""
    clients: Clients[Guest] = Clients(6, 6)
    quiet = entered(clients, "192.0.2.1", "192.0.2.2")
    flood = entered(clients, *["198.51.100.1"] * 40)
    assert not any(each.gone for each in quiet)
    assert sum(not each.gone for each in flood) == 4
    entered(clients, "203.0.113.1")
    assert quiet[0].gone, "a newcomer with nothing of its own to give takes the longest idle of all"


def test_who_cannot_be_spared_stays_and_the_next_goes() -> None:
    clients: Clients[Guest] = Clients(2, 2)
    busy = Guest("192.0.2.1", spared=False)
    assert clients.enter(busy)
    (idle,) = entered(clients, "192.0.2.2")
    entered(clients, "192.0.2.3")
    assert (busy.gone, idle.gone) == (False, True)


@pytest.mark.parametrize("address", ["192.0.2.1", "192.0.2.2"])
def test_where_nobody_can_be_spared_the_newcomer_goes(address: str) -> None:
    clients: Clients[Guest] = Clients(2, 1)
    for number in (1, 2):
        assert clients.enter(Guest(f"192.0.2.{number}", spared=False))
    assert not clients.enter(Guest(address))
    assert len(clients) == 2


def test_room_can_be_asked_for_and_ends_with_those_who_can_be_spared() -> None:
    clients: Clients[Guest] = Clients(9, 9)
    guests = entered(clients, *[f"192.0.2.{number}" for number in range(5)])
    assert clients.enter(Guest("192.0.2.99", spared=False))
    clients.make_room(2)
    assert [each.gone for each in guests] == [True, True, False, False, False]
    clients.make_room(100)
    assert len(clients) == 1


def test_who_has_left_can_leave_and_be_touched_again() -> None:
    clients: Clients[Guest] = Clients(2, 2)
    (guest,) = entered(clients, "192.0.2.1")
    for _ in range(2):
        clients.leave(guest)
        clients.touch(guest)
    assert len(clients) == 0
    assert list(clients) == []


def test_ipv6_counts_by_the_network_that_one_customer_has() -> None:
    groups = [group_of(ip_address(each)) for each in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")]
    assert groups[0] == groups[1] != groups[2]
    assert group_of(ip_address("192.0.2.1")) != group_of(ip_address("192.0.2.2"))


@given(
    st.lists(st.tuples(st.sampled_from(["enter", "enter", "leave", "touch"]), st.integers(0, 5), st.booleans())),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_the_bounds_hold_whatever_happens_and_a_newcomer_gets_in_while_anyone_can_be_spared(
    steps: list[tuple[str, int, bool]], most: int, share: int
) -> None:
    clients: Clients[Guest] = Clients(most, share)
    guests: list[Guest] = []
    for what, number, spared in steps:
        if what == "enter":
            guest = Guest(f"192.0.2.{number}", spared)
            before = list(clients)
            same = [each for each in before if each.group == guest.group]
            asked = same if len(same) >= share else before if len(before) >= most else []
            assert clients.enter(guest) is (not asked or any(each.can_be_spared for each in asked))
            guests.append(guest)
        elif guests:
            (clients.leave if what == "leave" else clients.touch)(guests[number % len(guests)])
        held = list(clients)
        assert len(held) <= most
        assert not any(each.gone for each in held)
        for group in {each.group for each in held}:
            assert sum(each.group == group for each in held) <= share
