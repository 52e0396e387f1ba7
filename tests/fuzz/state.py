"""Damaged state directories, opened and read as at a start.

A store is taken through a life of its own (whole versions, changes, timers, a checkpoint, compaction, a zone removed)
and copied at several moments: closed, and as a killed process leaves it, journal and index included. Each step damages
one of these copies (octets, pages, whole files; also pages and files that come from another moment, as after a write
that never reached the disk) and then must find that

    the store opens: damage is never a reason for a start that fails
    each zone it says it holds is, whole, the version of that generation, or reading it says that it is damaged
    what it says of how a zone came to its version is what was committed, or reading it says that it is damaged
    single owners likewise; what is damaged can be put aside; a new version can be committed and read back
    it opens a second time, with the same zones and the version committed before

A case is the files of a directory, packed by `pack`.
"""

import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

from fuzz.mutate import Mutator
from fuzz.outcome import Failed, Tried, timed
from support.stored import APEX, NOW, TIMERS, key, nodes_of

from nameserver.errors import StoreDamaged
from nameserver.store import chunks
from nameserver.store.database import Store, StoredZone
from nameserver.store.history import NewSteps
from nameserver.store.reader import StoreReader
from nameserver.zone.history import HistoryLimits, PackedStep

DATABASE, JOURNAL, INDEX = "state.db", "state.db-wal", "state.db-shm"
LARGE, MIDDLE, SMALL, LATE = b"\x05large\x00", b"\x06middle\x00", b"\x05small\x00", b"\x04late\x00"
PAGE = 4096
FRAME = 24 + PAGE  # of the journal, behind its header of 32 octets
CHUNK_OWNERS = 32  # so that a few hundred owners make many chunks
SECONDS = 1.0  # CPU; opening and reading takes a hundredth of it

Files = dict[str, bytes]
Content = dict[bytes, bytes]


class Life:
    """The copies, by the moment they were taken at, and all versions there ever were."""

    def __init__(self) -> None:
        self.moments: dict[str, Files] = {}
        self.versions: dict[tuple[bytes, int], Content] = {}
        self.rows: set[StoredZone] = set()
        self.steps: dict[tuple[bytes, int, int], PackedStep] = {}  # by zone, generation and old serial
        self._contents: dict[bytes, Content] = {}
        with _small_chunks(), _directory() as directory:
            self._live(directory)

    def _live(self, directory: Path) -> None:
        with closing(Store.open(directory, NOW)) as store:
            self._take("empty", directory)
            for name, owners in ((LARGE, 400), (MIDDLE, 60), (SMALL, 5)):
                self._commit_full(store, name, nodes_of(1, owners), 1)
            self._take("first", directory)
        self._take("first-closed", directory)
        with closing(Store.open(directory, NOW)) as store:
            for serial in range(2, 6):
                self._commit_changes(store, LARGE, _changes(serial, 400), serial)
                self._commit_changes(store, MIDDLE, _changes(serial, 60), serial)
            self._take("changed", directory)
            store.save_timers({SMALL: TIMERS._replace(refresh_at=9.0)})
            self.rows |= set(store.zones().values())
            with closing(sqlite3.connect(directory / DATABASE)) as other:
                other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._take("checkpointed", directory)
            self._commit_full(store, MIDDLE, nodes_of(9, 80), 9)
            self._commit_changes(store, LARGE, _changes(10, 400), 10)
            self._take("journal-begun-anew", directory)
            store.compact(LARGE)
            self.rows |= set(store.zones().values())
            store.remove(SMALL)
            self._commit_full(store, LATE, nodes_of(3, 40), 3)
            self._commit_changes(store, LARGE, _changes(11, 400), 11)
            self._take("compacted", directory)
        self._take("compacted-closed", directory)
        # The same owners in the same pages, with other content: nothing but their content tells these two apart.
        for serial, moment in ((20, "twin"), (21, "other-twin")):
            with closing(Store.open(directory, NOW)) as store:
                self._commit_changes(store, LARGE, {**_changes(12, 400), b"": b"\x00soa %d" % serial}, serial)
                same = {each: b"\x00node %d" % serial for each in _changes(12, 400) if each.startswith(b"\x09host0001")}
                self._commit_changes(store, LARGE, {b"": b"\x00soa %d again" % serial, **same}, serial)
                self._commit_full(store, LATE, nodes_of(serial, 40), serial)
            self._take(moment, directory)

    def _take(self, moment: str, directory: Path) -> None:
        names = (DATABASE, JOURNAL, INDEX)
        self.moments[moment] = {name: (directory / name).read_bytes() for name in names if (directory / name).exists()}

    def _commit_full(self, store: Store, name: bytes, nodes: Content, serial: int) -> None:
        self._noted(commit(store, name, nodes, serial), nodes)

    def _commit_changes(self, store: Store, name: bytes, changes: dict[bytes, bytes | None], serial: int) -> None:
        held = store.zones()[name]
        new_steps = None
        if serial > held.serial:
            # Two at once, and parts of some length: histories that take several pages.
            serials = (held.serial, held.serial + 1, serial) if serial > held.serial + 1 else (held.serial, serial)
            steps = [_step(name, *each) for each in pairwise(serials)]
            new_steps = NewSteps(steps, HistoryLimits(max_changes=6), NOW)
        row = store.commit_changes(
            name,
            changes,
            base_generation=held.generation,
            serial=serial,
            soa_rdata=b"soa rdata %d" % serial,
            records_delta=0,
            timers=TIMERS,
            new_steps=new_steps,
        )
        for step in new_steps.steps if new_steps else ():
            self.steps[name, row.generation, step.old_serial] = step
        merged = {**self._contents[name], **changes}
        self._noted(row, {each: node for each, node in merged.items() if node is not None})

    def _noted(self, row: StoredZone, nodes: Content) -> None:
        self.rows.add(row)
        self.versions[row.name, row.generation] = self._contents[row.name] = nodes


def commit(store: Store, name: bytes, nodes: Content, serial: int) -> StoredZone:
    """Commit a whole version with everything else made up."""
    return store.commit_full(
        name,
        "fuzz",
        nodes,
        apex_as_received=APEX,
        soa_rdata=b"soa rdata %d" % serial,
        serial=serial,
        records=len(nodes),
        source="192.0.2.1",
        timers=TIMERS,
    )


def _step(name: bytes, old: int, new: int) -> PackedStep:
    """A step whose parts say what they are."""
    parts = tuple(b"<%b %d to %d, part %d>" % (name, old, new, part) * 40 for part in range(new % 3 + 1))
    return PackedStep(old, new, new, 9, parts)


def _changes(serial: int, owners: int) -> dict[bytes, bytes | None]:
    """Some owners changed, one new, one gone, and the apex."""
    changed: dict[bytes, bytes | None] = {
        key(f"host{number:05}"): b"\x00node %d %d" % (number, serial) for number in range(serial, owners - 1, 17)
    }
    gone = {key(f"host{serial * 2:05}"): None}
    return {b"": b"\x00soa %d" % serial, key(f"new{serial}"): b"\x00new %d" % serial, **changed, **gone}


def pack(files: Files) -> bytes:
    """Files → a case."""
    parts = [b"%s %d\n%s" % (name.encode(), len(content), content) for name, content in sorted(files.items())]
    return zlib.compress(b"".join(parts), 9)


def unpack(case: bytes) -> Files:
    """The reverse of `pack`."""
    data, files = zlib.decompress(case), {}
    while data:
        head, _, data = data.partition(b"\n")
        name, size = head.split()
        files[name.decode()], data = data[: int(size)], data[int(size) :]
    return files


@contextmanager
def _small_chunks() -> Iterator[None]:
    before = chunks.CHUNK_OWNERS
    chunks.CHUNK_OWNERS = CHUNK_OWNERS
    try:
        yield
    finally:
        chunks.CHUNK_OWNERS = before


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory in memory where there is one: what is tried here is not the disk."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="fuzz-state-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Target:
    """See the head of this file."""

    name = "states"

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._life = Life()
        every = [content for files in self._life.moments.values() for content in files.values() if content]
        self._mutator = Mutator(self._random, every, largest=1 << 20)
        self._damages = (
            self._flip, self._flip, self._overwrite, self._overwrite, self._cut, self._lengthen, self._remove,
            self._file_of_another_moment, self._exchange, self._page_of_another_moment, self._page_of_another_moment,
            self._page_elsewhere, self._any,
        )  # fmt: skip

    def step(self) -> Tried:
        files = dict(self._life.moments[self._random.choice(list(self._life.moments))])
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 8))):
            self._random.choice(self._damages)(files)
        return self.replay(pack(files))

    # --- damage --------------------------------------------------------------------------------------------------

    def _pick(self, files: Files) -> str:
        """A file of some length; the database more often than the others."""
        names = [name for name in (DATABASE, DATABASE, JOURNAL, JOURNAL, INDEX) if files.get(name)]
        return self._random.choice(names) if names else ""

    def _edit(self, files: Files, at: int, new: bytes, name: str) -> None:
        files[name] = files[name][:at] + new + files[name][at + len(new) :]

    def _flip(self, files: Files) -> None:
        if name := self._pick(files):
            # Headers are small, and a flip there means more than one in the middle of some node.
            at = self._random.randrange(min(len(files[name]), self._random.choice((128, PAGE, 1 << 30))))
            self._edit(files, at, bytes((files[name][at] ^ 1 << self._random.randrange(8),)), name)

    def _overwrite(self, files: Files) -> None:
        """Zeros, ones or noise over a few octets, a sector, a page, or more."""
        if name := self._pick(files):
            size = self._random.choice((1, 2, 4, 16, 512, PAGE, 3 * PAGE))
            at = self._random.randrange(len(files[name]))
            at -= at % size if size >= 512 else 0
            size = min(size, len(files[name]) - at)
            new = self._random.choice((bytes(size), b"\xff" * size, self._random.randbytes(size)))
            self._edit(files, at, new, name)

    def _cut(self, files: Files) -> None:
        if name := self._pick(files):
            size = len(files[name])
            at = self._random.choice((self._random.randrange(size), size - size % PAGE, 0, max(0, size - 1)))
            files[name] = files[name][: at if self._random.random() < 0.5 else at - at % PAGE]

    def _lengthen(self, files: Files) -> None:
        if name := self._pick(files):
            files[name] += self._random.choice((bytes(PAGE), self._random.randbytes(100), files[name][-FRAME:]))

    def _remove(self, files: Files) -> None:
        if name := self._pick(files):
            del files[name]

    def _file_of_another_moment(self, files: Files) -> None:
        other = self._life.moments[self._random.choice(list(self._life.moments))]
        name = self._random.choice((DATABASE, JOURNAL, INDEX))
        if name in other:
            files[name] = other[name]

    def _exchange(self, files: Files) -> None:
        """Two files of the directory under each other's names."""
        one, two = self._pick(files), self._pick(files)
        if one and two:
            files[one], files[two] = files[two], files[one]

    def _page_of_another_moment(self, files: Files) -> None:
        """A page as it was or will be: what a write that was lost, or came too early, leaves."""
        other = self._life.moments[self._random.choice(list(self._life.moments))].get(DATABASE, b"")
        pages = min(len(other), len(files.get(DATABASE, b""))) // PAGE
        for _ in range(self._random.choice((1, 1, 2, 5))):
            if pages:
                at = self._random.randrange(pages) * PAGE
                self._edit(files, at, other[at : at + PAGE], DATABASE)

    def _page_elsewhere(self, files: Files) -> None:
        """A page or journal frame written over another."""
        if name := self._pick(files):
            head, size = (32, FRAME) if name == JOURNAL else (0, PAGE)
            count = (len(files[name]) - head) // size
            if count > 1:
                source, target = (head + self._random.randrange(count) * size for _ in range(2))
                self._edit(files, target, files[name][source : source + size], name)

    def _any(self, files: Files) -> None:
        if name := self._pick(files):
            files[name] = self._mutator.mutate(files[name])

    # --- what must hold --------------------------------------------------------------------------------------------

    def replay(self, case: bytes) -> Tried:
        """Open and read one damaged directory. Raises `Failed`."""
        files = unpack(case)
        verdicts: list[str] = []
        try:
            _, seconds = timed(lambda: verdicts.append(self._start(files)), SECONDS)
            _claim(seconds <= SECONDS, f"took {seconds:.2f} s of CPU")
        except AssertionError as error:
            raise Failed(str(error), "states", case) from error
        except Exception as error:
            raise Failed(f"raised {error!r}", "states", case) from error
        return Tried(verdicts[0], seconds, "states", case)

    def _start(self, files: Files) -> str:
        with _directory() as directory, _small_chunks():
            for name, content in files.items():
                (directory / name).write_bytes(content)
            with closing(Store.open(directory, NOW)) as store:
                said = " ".join(store.notices)
                verdict = (
                    "moved aside" if "starts empty" in said else "saved in part" if "saved from it" in said else ""
                )
                verdict = verdict or ("row damaged" if said else "opened")
                damaged = self._read_all(store)
                for name in damaged:
                    verdict = "zone damaged"
                    if name in store.zones():
                        store.quarantine(name, NOW)
                        _claim(name in store.take_dropped(), "a damaged zone was not put aside")
                        _claim(name not in store.zones(), "a damaged zone is still there")
                _claim(not self._read_all(store), "damage stays behind")
                fresh = nodes_of(77, 50)
                row = commit(store, MIDDLE, fresh, 77)
                kept = store.zones()
            with closing(Store.open(directory, NOW)) as store:
                _claim(store.zones() == kept, f"the second start holds other zones: {store.notices}")
                self._read_all(store, {MIDDLE: (row, fresh)})
        return verdict if verdict != "opened" else f"opened with {len(kept)} zones"

    def _read_all(self, store: Store, known: dict[bytes, tuple[StoredZone, Content]] | None = None) -> list[bytes]:
        """Read every zone through a reader and, owner by owner, through the store; names of the damaged ones."""
        damaged = []
        with closing(StoreReader(store.path)) as reader:
            for name, row in store.zones().items():
                _claim(row in self._life.rows or (known or {}).get(name, (None,))[0] == row, "a row that never was")
                content = known[name][1] if known and name in known else self._life.versions[name, row.generation]
                try:
                    loaded = reader.load(name)
                    _claim(loaded is not None and loaded.meta == row, "store and reader hold different rows")
                    with closing(loaded):
                        found = [item for items in loaded.slices for item in items]
                    _claim(found == sorted(content.items()), f"zone {row.text} of generation {row.generation} is wrong")
                except StoreDamaged:
                    damaged.append(name)
                self._read_history(reader, row)
                for each in (b"", key("host00004"), key("host00021"), key("new5"), key("none")):
                    try:
                        _claim(store.node(name, each) == content.get(each) or name in damaged, "an owner is wrong")
                    except StoreDamaged:
                        if name not in damaged:
                            damaged.append(name)
        return damaged

    def _read_history(self, reader: StoreReader, row: StoredZone) -> None:
        """Every step that is told is one that was committed, and they lead to the version held."""
        for serial in range(1, 22):
            try:
                with closing(reader.load(row.name)) as loaded:
                    told = loaded.steps_since(serial)
                    for step in told:
                        wanted = self._life.steps.get((row.name, step.number >> 16, step.old_serial))
                        _claim(wanted is not None, "a step that never was")
                        found = (step.new_serial, step.records, step.size, tuple(loaded.parts_of(step)))
                        _claim(found == (wanted.new_serial, wanted.records, wanted.size, wanted.parts), "a wrong step")
                serials = [step.old_serial for step in told] + [step.new_serial for step in told[-1:]]
                _claim(not told or (serials[0], serials[-1]) == (serial, row.serial), "steps that lead elsewhere")
                _claim(all(a.new_serial == b.old_serial for a, b in pairwise(told)), "steps with a gap")
            except StoreDamaged:
                continue


def _claim(truth: bool, otherwise: str) -> None:
    if not truth:
        raise AssertionError(otherwise)
