"""What the store costs: a zone of a million records, and ten thousand small zones.

    python tests/bench/bench_store.py [OWNERS]

Prints figures, claims nothing. The zone has a record for each owner and a second one for every third.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from nameserver.store.database import Store, StoredZone, ZoneTimers
from nameserver.store.reader import StoreReader
from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.node import pack_node

NAME = b"\x07example\x00"
TIMERS = ZoneTimers(1.0, 2.0, 3.0, 4.0)
SMALL = {b"": bytes(100), b"\x03www": bytes(30), b"\x04mail": bytes(40), b"\x03ns1": bytes(30)}


def say(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:<52}{figure}\n")
    sys.stdout.flush()


def timed(what: str, function: Callable[[], object]) -> None:
    started, used = time.perf_counter(), time.process_time()
    function()
    say(what, f"{time.perf_counter() - started:8.3f} s ({time.process_time() - used:.3f} s CPU)")


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def large_zone(owners: int) -> tuple[dict[bytes, bytes], int]:
    """Nodes in no particular order, and the number of their records."""
    soa = RRset.of(NAME, codes.SOA, 3600, [b"\x03ns1" + NAME + b"\x04host" + NAME + bytes(20)])
    items, records = [(b"", pack_node([soa]))], 1
    for number in range(1, owners):
        label = b"host-%d" % number
        rrsets = [RRset.of(b"", codes.A, 300, [number.to_bytes(4, "big")])]
        if number % 3 == 0:
            rrsets.append(RRset.of(b"", codes.AAAA, 300, [number.to_bytes(16, "big")]))
        items.append((bytes((len(label),)) + label, pack_node(rrsets)))
        records += len(rrsets)
    random.shuffle(items)
    return dict(items), records


def commit_full(store: Store, nodes: dict[bytes, bytes], records: int, name: bytes = NAME) -> StoredZone:
    return store.commit_full(
        name,
        "bench",
        nodes,
        apex_as_received=name,
        soa_rdata=bytes(40),
        serial=1,
        records=records,
        source="bench",
        timers=TIMERS,
    )


def commit_changes(store: Store, changes: dict[bytes, bytes | None]) -> float:
    """Seconds it took."""
    base = store.zones()[NAME].generation
    started = time.perf_counter()
    store.commit_changes(
        NAME, changes, base_generation=base, serial=base, soa_rdata=bytes(40), records_delta=0, timers=TIMERS
    )
    return time.perf_counter() - started


def small_changes(store: Store, what: str, make: Callable[[int], dict[bytes, bytes | None]]) -> None:
    taken = sorted(commit_changes(store, make(number)) * 1000 for number in range(1000))
    say(f"commit {what}", f"median {statistics.median(taken):.3f} ms, p99 {taken[989]:.3f}, most {taken[-1]:.1f}")


def writer(state: Path, owners: int) -> None:
    """The figures of one large zone."""
    nodes, records = large_zone(owners)
    keys = list(nodes)
    payload = sum(map(len, nodes)) + sum(map(len, nodes.values()))
    with closing(Store.open(state, 0.0)) as store:
        timed(f"commit_full: {records} records, {owners} owners", lambda: commit_full(store, nodes, records))
        timed("commit_full over it", lambda: commit_full(store, nodes, records))
        say("on disk", f"{store.path.stat().st_size / 1e6:8.1f} MB for {payload / 1e6:.1f} MB of nodes and keys")
        small_changes(store, "apex and one owner, read before", lambda at: {b"": b"\0%d" % at, keys[5]: b"\0%d" % at})
        small_changes(store, "apex and one owner, anywhere", lambda at: {b"": b"\0%d" % at, random.choice(keys): b"\0"})
        many: dict[bytes, bytes | None] = dict.fromkeys(random.sample(keys, owners // 15), b"\0changed")
        say(f"commit {len(many)} owners", f"{commit_changes(store, many):8.3f} s")
        timed("1000 point reads anywhere", lambda: [store.node(NAME, each) for each in random.sample(keys, 1000)])
        timed("compact", lambda: store.compact(NAME))
    timed("open", lambda: Store.open(state, 0.0).close())


def loader(state: Path) -> None:
    """Loading it, as a worker does, in a process of its own for the memory's sake."""
    with closing(StoreReader(state / "state.db")) as reader:
        before, used = resident(), time.process_time()
        started, longest = time.perf_counter(), 0.0
        nodes: dict[bytes, bytes] = {}
        loaded = reader.load(NAME)
        if loaded is None:
            raise SystemExit("the zone is gone")
        last = started
        for items in loaded.slices:
            nodes.update(items)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        used = time.process_time() - used
        say("load into a dict", f"{last - started:8.3f} s ({used:.3f} s CPU), longest slice {longest * 1000:.1f} ms")
        say("memory of the dict", f"{(resident() - before) / loaded.meta.records:8.0f} bytes a record")


def small_zones(state: Path) -> None:
    """Ten thousand of four owners each."""
    names = [b"\x09zone%05d\x00" % number for number in range(10_000)]
    with closing(Store.open(state, 0.0)) as store, closing(StoreReader(store.path)) as reader:
        timed("10,000 small zones: commit", lambda: [commit_full(store, SMALL, 4, name) for name in names])
        timed("10,000 small zones: save_timers", lambda: store.save_timers(dict.fromkeys(names, TIMERS)))
        timed("10,000 small zones: load, one by one", lambda: [list(reader.stream(name)) for name in names])
        timed("10,000 small zones: load_many", lambda: list(reader.load_many(names, 1 << 20)))
    timed("10,000 small zones: open", lambda: Store.open(state, 0.0).close())


def main() -> None:
    """All of it; with `--load DIRECTORY`, the part that runs in a process of its own."""
    if sys.argv[1:2] == ["--load"]:
        loader(Path(sys.argv[2]))
        return
    random.seed(1)
    with tempfile.TemporaryDirectory() as directory:
        writer(Path(directory, "large"), int(sys.argv[1]) if len(sys.argv) > 1 else 750_000)
        subprocess.run([sys.executable, __file__, "--load", f"{directory}/large"], check=True)
        small_zones(Path(directory, "small"))


if __name__ == "__main__":
    main()
