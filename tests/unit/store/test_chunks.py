"""Chunks: what goes in comes out, the overlay wins, and damage is noticed."""

from collections.abc import Iterator

import pytest
from support.stored import key, nodes_of

from nameserver.errors import StoreDamaged
from nameserver.store import chunks
from nameserver.store.chunks import (
    CHUNK_OWNERS,
    CHUNK_SIZE,
    Change,
    ChunkIndex,
    Item,
    change_crc,
    check_change,
    check_chunk,
    chunk_crc,
    chunks_of,
    cut,
    merge,
    pack_chunk,
    unpack_chunk,
)

ITEMS = sorted(nodes_of(1).items())


def merged(base: list[list[Item]], overlay: list[Change]) -> list[Item]:
    return [item for items in merge(base, iter(overlay)) for item in items]


@pytest.mark.parametrize(
    "items", [ITEMS, [(b"", b"\x00")], [(b"", b""), (b"\xff" * 255, b"x" * 70_000)]], ids=["some", "one", "extreme"]
)
def test_a_chunk_gives_back_its_items(items: list[Item]) -> None:
    assert unpack_chunk(pack_chunk(items)) == items


def test_one_owner_is_found_without_unpacking() -> None:
    index = ChunkIndex(pack_chunk(ITEMS))
    assert [index.find(key) for key, _ in ITEMS] == [node for _, node in ITEMS]


@pytest.mark.parametrize("absent", [key("a"), key("host00003x"), key("host00001\x00"), b"\xff"])
def test_an_absent_owner_is_not_found(absent: bytes) -> None:
    assert ChunkIndex(pack_chunk(ITEMS)).find(absent) is None


def test_lengths_that_do_not_add_up_are_damage() -> None:
    chunk = pack_chunk(ITEMS)
    for broken in (b"", chunk[:3], chunk[:20], chunk[:-1], chunk + b"\x00", b"\x00\x00\x00\x00"):
        with pytest.raises(StoreDamaged, match="chunk"):
            unpack_chunk(broken)


def test_a_large_zone_is_cut_by_the_number_of_owners() -> None:
    items = [(number.to_bytes(4, "big"), b"\x00") for number in range(3 * CHUNK_OWNERS + 1)]
    parts = list(cut(items))
    assert [len(part) for part in parts] == [CHUNK_OWNERS] * 3 + [1]
    assert [item for part in parts for item in part] == items


def test_large_nodes_are_cut_by_size() -> None:
    """No chunk exceeds the limit but one whose only node does."""
    sizes = [CHUNK_SIZE // 2, CHUNK_SIZE // 3, CHUNK_SIZE * 2, 10, CHUNK_SIZE - 100, 200]
    items = [(bytes((number,)), bytes(size)) for number, size in enumerate(sizes)]
    parts = list(cut(items))
    assert [item for part in parts for item in part] == items
    assert [len(part) for part in parts] == [2, 1, 2, 1]


def test_a_whole_version_is_cut_and_packed_as_its_items_are() -> None:
    small = {number.to_bytes(4, "big"): b"\x00" for number in range(2 * CHUNK_OWNERS + 1)}
    large = {bytes((number,)): bytes(CHUNK_SIZE // 3) for number in range(9)}
    for nodes in (small, large, small | large):
        items = sorted(nodes.items())
        backwards = dict(reversed(items))
        assert list(chunks_of(backwards)) == [(part[0][0], pack_chunk(part)) for part in cut(items)]
    assert list(chunks_of({})) == []


def test_nothing_is_cut_into_nothing() -> None:
    assert list(cut([])) == []


def test_the_overlay_replaces_removes_and_adds() -> None:
    base = [[(b"", b"apex"), (b"b", b"1")], [(b"d", b"2"), (b"f", b"3")]]
    overlay: list[Change] = [(b"a", b"new"), (b"b", None), (b"c", b"between"), (b"f", b"changed"), (b"g", b"behind")]
    assert merged(base, overlay) == [
        (b"", b"apex"),
        (b"a", b"new"),
        (b"c", b"between"),
        (b"d", b"2"),
        (b"f", b"changed"),
        (b"g", b"behind"),
    ]


def test_taking_away_what_is_not_there_changes_nothing() -> None:
    base = [[(b"", b"apex"), (b"b", b"1")]]
    assert merged(base, [(b"a", None), (b"x", None), (b"y", b"2"), (b"z", None)]) == [*base[0], (b"y", b"2")]


def test_a_chunk_that_is_wholly_gone_gives_no_slice() -> None:
    base = [[(b"", b"apex")], [(b"a", b"1")], [(b"b", b"2")]]
    assert list(merge(base, iter([(b"a", None)]))) == [base[0], base[2]]


def test_much_added_in_one_place_is_cut_into_small_slices() -> None:
    base = [[(b"", b"apex"), (b"\xff", b"last")]]
    overlay = [(b"\x04%04d" % number, b"\x00") for number in range(5 * CHUNK_OWNERS)]
    slices = list(merge(base, iter(overlay)))
    assert max(map(len, slices)) <= 2 * CHUNK_OWNERS
    assert [item for items in slices for item in items] == [base[0][0], *overlay, base[0][1]]


def test_merging_takes_no_more_of_the_base_than_the_next_slice_needs() -> None:
    taken = 0

    def base() -> Iterator[list[Item]]:
        nonlocal taken
        for number in range(5):
            taken += 1
            yield [(bytes((number,)), b"\x00")]

    next(merge(base(), iter(())))
    assert taken == 1


def test_a_row_in_the_wrong_place_fails_its_checksum() -> None:
    """The checksums cover zone, key and generation: intact content that turns up elsewhere is damage too."""
    chunk = pack_chunk(ITEMS)
    crc = chunk_crc(7, 3, b"", chunk)
    assert check_chunk(7, 3, (b"", crc, chunk)) == (b"", chunk)
    good = (b"", crc, chunk)
    for place, row in (
        ((8, 3), good),
        ((7, 4), good),
        ((7, 3), (b"x", *good[1:])),
        ((7, 3), (b"", crc, "text")),
        ((7, 3), None),
    ):
        with pytest.raises(StoreDamaged):
            check_chunk(*place, row)
    crc = change_crc(7, b"k", b"")
    assert check_change(7, (b"k", crc, b"")) == (b"k", crc, b"")
    for zone_id, change in ((8, (b"k", crc, b"")), (7, (b"x", crc, b"")), (7, (b"k", crc, None)), (7, (1, crc, b""))):
        with pytest.raises(StoreDamaged):
            check_change(zone_id, change)


def test_the_index_is_smaller_than_what_it_indexes() -> None:
    """Many are kept in memory."""
    index = ChunkIndex(pack_chunk(ITEMS))
    assert index._key_ends.itemsize == 4
    assert (index.first, index.last) == (ITEMS[0][0], ITEMS[-1][0])
    assert chunks.CHUNK_OWNERS * 8 < CHUNK_SIZE
