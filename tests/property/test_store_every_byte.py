"""Every byte of a state directory, cut off or flipped: the start succeeds, and what is served is what once was stored.

The suite takes every so-manieth byte, from an offset that it prints; NAMESERVER_EVERY_BYTE=1 takes them all, in some
half an hour, NAMESERVER_EVERY_BYTE_OFFSET=N an offset seen before.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import NOW, TIMERS, commit_changes, commit_full, key

from nameserver.errors import StoreDamaged
from nameserver.store.database import Store
from nameserver.store.history import NewSteps
from nameserver.store.reader import StoreReader
from nameserver.zone.history import HistoryLimits, PackedStep

NAMES = {text: bytes((len(text),)) + text.encode() + b"\x00" for text in ("alpha", "bravo", "charlie", "delta")}
FILES = ("state.db", "state.db-wal", "state.db-shm")
PAGE = 4096
TAIL = 4096  # bytes at the end of a file at each of which it is cut off
ALL = bool(os.environ.get("NAMESERVER_EVERY_BYTE"))
FLIPS, CUTS = (
    (1, 1) if ALL else (601, 79)
)  # of so many bytes one; primes, so that every place in a page comes to its turn
OFFSET = int(os.environ.get("NAMESERVER_EVERY_BYTE_OFFSET") or random.SystemRandom().randrange(FLIPS))

Content = dict[bytes, bytes]


def nodes(text: str, serial: int) -> Content:
    """Each node names its zone, so that it can be told whose page a page is."""
    owners = {key(f"host{number:03}"): f"\0<{text}> {number} {serial}".encode() * 3 for number in range(120)}
    return {b"": f"\0<{text}> soa {serial}".encode(), **owners}


def step(text: str, serial: int) -> PackedStep:
    """The step to a version of a zone, which names the zone too."""
    parts = tuple(f"<{text}> step to {serial}, part {part}".encode() * 9 for part in range(2))
    return PackedStep(serial - 1, serial, 4, 99, parts)


class Directory:
    """A state directory as a killed process leaves it, and as an orderly end does; every version there was."""

    def __init__(self, place: Path) -> None:
        self.killed, self.closed = place / "killed", place / "closed"
        self.versions: dict[tuple[bytes, int], Content] = {}
        with closing(Store.open(self.closed, NOW)) as store:
            for text, name in NAMES.items():
                self._note(commit_full(store, nodes(text, 1), 1, name=name, text=text), nodes(text, 1))
        with closing(Store.open(self.closed, NOW)) as store:
            for serial in (2, 3):
                for text in ("alpha", "bravo", "charlie"):
                    changed = {
                        b"": nodes(text, serial)[b""],
                        key("host007"): None,
                        key("new"): f"\0<{text}> new".encode(),
                    }
                    before = self.versions[NAMES[text], store.zones()[NAMES[text]].generation]
                    steps = NewSteps([step(text, serial)], HistoryLimits(), NOW)
                    row = commit_changes(store, changed, serial, name=NAMES[text], new_steps=steps)
                    self._note(row, {each: node for each, node in {**before, **changed}.items() if node is not None})
            store.save_timers({NAMES["delta"]: TIMERS._replace(refresh_at=9.0)})
            shutil.copytree(self.closed, self.killed)

    def _note(self, row, content: Content) -> None:
        self.versions[row.name, row.generation] = content

    def files(self) -> Iterator[tuple[Path, str]]:
        """What can be damaged: three files of the killed one, the database of the other."""
        yield from ((self.killed, name) for name in FILES)
        yield self.closed, FILES[0]


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="bytes-", dir=memory if os.access(memory, os.W_OK) else None))
    print(f"NAMESERVER_EVERY_BYTE_OFFSET={OFFSET}")  # noqa: T201 - shown where a test fails
    yield Directory(place)
    shutil.rmtree(place, ignore_errors=True)


def start(directory: Directory, origin: Path, name: str, data: bytes, which: str) -> set[str]:
    """Start with one file as given; the names of the zones that were lost, each of them said, the others as stored."""
    state = origin.parent / "state"
    shutil.copytree(origin, state)
    try:
        (state / name).write_bytes(data)
        with closing(Store.open(state, NOW)) as store, closing(StoreReader(store.path)) as reader:
            for zone, row in store.zones().items():
                try:
                    found = {owner: node for items in reader.stream(zone) for owner, node in items}
                    assert found == directory.versions[zone, row.generation], f"{row.text} is wrong, {which}"
                    check_history(reader, zone, which)
                except StoreDamaged:
                    store.quarantine(zone, NOW)
            lost = {text for text, zone in NAMES.items() if zone not in store.zones()}
            said = " ".join(store.notices)
            assert all(text in said or "all zones are fetched again" in said for text in lost), f"{said}, {which}"
            assert not lost or list(state.glob("*.damaged-*")), f"nothing was kept of what was damaged, {which}"
            commit_full(store, nodes("alpha", 9), 9, name=NAMES["alpha"], text="alpha")
        with closing(Store.open(state, NOW)) as store:
            assert store.notices == [] and store.zones()[NAMES["alpha"]].serial == 9, which
        return lost
    finally:
        shutil.rmtree(state)


def check_history(reader: StoreReader, name: bytes, which: str) -> None:
    """What is told of how a zone came to its version is what was stored; or nothing is told."""
    loaded = reader.load(name)
    assert loaded is not None
    with closing(loaded):
        try:
            found = {each.new_serial: list(loaded.parts_of(each)) for each in loaded.steps_since(1)}
        except StoreDamaged:
            return
    text = loaded.meta.text
    wanted = {serial: list(step(text, serial).parts) for serial in range(2, loaded.meta.serial + 1)}
    assert found in ({}, wanted), f"the history of {text} is wrong, {which}"


@pytest.mark.timeout(0 if ALL else 60)
def test_a_file_cut_off_anywhere_in_its_last_pages_never_stops_a_start(directory: Directory) -> None:
    for origin, name in directory.files():
        data = (origin / name).read_bytes()
        for cut in range(len(data) - TAIL + OFFSET % CUTS, len(data), CUTS):
            lost = start(directory, origin, name, data[:cut], f"{origin.name}/{name} cut to {cut}")
            if name != FILES[0]:
                assert not lost, "an earlier version is whole, so no zone is lost with the end of the journal"


@pytest.mark.timeout(0 if ALL else 60)
def test_a_byte_flipped_anywhere_costs_no_more_than_the_zone_it_belongs_to(directory: Directory) -> None:
    """Where it belongs to none, but to what all share, it may cost more, but neither the start nor the truth."""
    owned = 0
    for origin, name in directory.files():
        data = (origin / name).read_bytes()
        for at in range(OFFSET, len(data), FLIPS):
            changed = data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]
            lost = start(directory, origin, name, changed, f"{origin.name}/{name}: bit {at % 8} of byte {at}")
            page = data[at - at % PAGE :][:PAGE]
            owners = {text for text in NAMES if f"<{text}>".encode() in page}
            if name == FILES[0] and len(owners) == 1:
                owned += 1
                assert lost <= owners, f"a flip in byte {at}, of {owners}, cost {lost}"
            elif name != FILES[0]:
                assert not lost, f"a flip in byte {at} of {name} cost {lost}: what is older is whole"
    assert owned > 20
