"""Which names a sample has: so many, spread evenly, the same for the same seed, and what matters most among them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.migrate.checks.sampling import SampleSize, choose
from nameserver.wire import codes

TXT, MX = 16, 15
SOME = SampleSize(number=100)


def hosts(count: int) -> list[tuple[bytes, int]]:
    return [(b"h%06d" % number, codes.A) for number in range(count)]


def zone(count: int = 5000, wildcards: int = 3, cuts: int = 4) -> list[tuple[bytes, int]]:
    found = [(b"", codes.NS), (b"", MX), *hosts(count), (b"only\0here", TXT)]
    found += [(b"w%d\0*" % number, codes.A) for number in range(wildcards)]
    found += [(b"z%05d" % number, codes.NS) for number in range(cuts)] + [(b"z00000", codes.DS)] * (cuts > 0)
    return sorted(found)


def test_so_many_names_as_were_to_be_and_every_rrset_of_each():
    sample = choose(zone(), SOME, "seed")
    chosen = {place for place, _ in sample.wanted}
    assert (len(chosen), sample.share.names, sample.share.names_of) == (100, 100, 5009)
    assert sample.wanted == [each for each in zone() if each[0] in chosen]
    assert (sample.share.rrsets, sample.share.rrsets_of) == (len(sample.wanted), len(zone()))


def test_the_apex_wildcards_delegations_and_a_name_of_every_type_are_among_them():
    sample = choose(zone(), SampleSize(number=12), "seed")
    chosen = {place for place, _ in sample.wanted}
    assert {b"", b"only\0here", b"w0\0*", b"w1\0*", b"w2\0*", b"z00000", b"z00003"} <= chosen
    assert {rdtype for _, rdtype in sample.wanted} == {rdtype for _, rdtype in zone()}
    assert (sample.wildcards, sample.delegations, sample.types) == ((3, 3), (4, 4), (5, 5))
    assert len(chosen) == 12


def test_the_apex_and_a_name_of_every_type_are_asked_for_however_few_are_wanted():
    sample = choose(zone(), SampleSize(number=1), "seed")
    assert {rdtype for _, rdtype in sample.wanted} == {rdtype for _, rdtype in zone()}
    assert b"" in {place for place, _ in sample.wanted}


def test_many_delegations_leave_half_of_the_room_to_other_names():
    sample = choose(zone(cuts=3000), SOME, "seed")
    assert sample.share.names == 100
    assert 40 <= sample.delegations[0] <= 52 and sample.delegations[1] == 3000


def test_the_same_seed_chooses_the_same_and_another_others():
    one, same, other = (choose(zone(), SOME, seed).wanted for seed in ("a", "a", "b"))
    assert one == same != other


def test_neither_the_order_of_the_records_nor_the_machine_makes_a_difference():
    chosen = [
        choose(order, SampleSize(number=4), "shop.example 5").wanted for order in (hosts(1000), hosts(1000)[::-1])
    ]
    assert sorted(chosen[0]) == sorted(chosen[1])
    assert [place for place, _ in chosen[0]] == [b"h000081", b"h000193", b"h000346", b"h000869"]


def test_each_stretch_of_the_zone_has_its_name():
    sample = choose(hosts(10_000), SOME, "seed")
    numbers = [int(place[1:]) for place, _ in sample.wanted]
    assert max(after - before for before, after in pairwise(numbers)) < 300


@pytest.mark.parametrize(
    ("text", "out_of", "number"),
    [("500", 10_000, 500), ("500", 20, 20), ("5%", 10_000, 500), ("0.01%", 100, 1), ("100%", 7, 7), ("2.5%", 1000, 25)],
)
def test_a_size_is_a_number_or_a_share(text: str, out_of: int, number: int):
    assert SampleSize.of_text(text).out_of(out_of) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "0%", "101%", "5 %", "%", "nan%", "1e2%", "\u0665", "5%%"])
def test_anything_else_is_no_size(text: str):
    with pytest.raises(ValueError, match="a number of names, or a share as 5%"):
        SampleSize.of_text(text)


@given(
    st.lists(st.tuples(st.sampled_from([b"", b"*", b"a", b"a\0*", b"b", b"c\0d"]), st.sampled_from([1, 2, 16, 28]))),
    st.integers(1, 8),
    st.text(max_size=3),
)
def test_whatever_there_is_to_be_asked_the_sample_is_part_of_it_and_says_how_much(
    wanted: list[tuple[bytes, int]], number: int, seed: str
):
    wanted = sorted(set(wanted))
    sample = choose(wanted, SampleSize(number=number), seed)
    assert [each for each in wanted if each in set(sample.wanted)] == sample.wanted
    names, types = {place for place, _ in wanted}, {rdtype for _, rdtype in wanted}
    assert min(number, len(names)) <= sample.share.names <= max(min(number, len(names)), len(types) + 1)
    if number >= len(names):
        assert sample.wanted == wanted
