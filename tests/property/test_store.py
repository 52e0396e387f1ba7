"""The store against a model: dicts that are changed in step with it."""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.stored import NOW, TIMERS, commit_changes, commit_full

from nameserver.store import chunks
from nameserver.store.database import Store
from nameserver.store.reader import StoreReader

NAMES = st.sampled_from([b"\x01a\x00", b"\x01b\x00"])
KEYS = st.one_of(st.sampled_from([b"\x01" + bytes((number,)) for number in range(97, 123)]), st.binary(max_size=6))
NODES = st.binary(max_size=30)
ZONES = st.dictionaries(KEYS, NODES, max_size=60)
CHANGES = st.dictionaries(KEYS, st.none() | NODES, max_size=8)
SERIALS = st.integers(0, 2**32 - 1)


class StoreAgainstModel(RuleBasedStateMachine):
    """Chunks of four owners, so that a few dozen make many of them."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = chunks.CHUNK_OWNERS, chunks.CHUNK_SIZE
        chunks.CHUNK_OWNERS, chunks.CHUNK_SIZE = 4, 60
        self.directory = Path(tempfile.mkdtemp())
        self.store = Store.open(self.directory, NOW)
        self.reader = StoreReader(self.store.path)
        self.model: dict[bytes, dict[bytes, bytes]] = {}
        self.serials: dict[bytes, int] = {}
        self.generation = 0

    def teardown(self) -> None:
        self.reader.close()
        self.store.close()
        shutil.rmtree(self.directory)
        chunks.CHUNK_OWNERS, chunks.CHUNK_SIZE = self._sizes

    @rule(name=NAMES, nodes=ZONES, serial=SERIALS)
    def commit_full(self, name: bytes, nodes: dict[bytes, bytes], serial: int) -> None:
        nodes = {b"": b"apex", **nodes}
        zone = commit_full(self.store, nodes, serial, name=name)
        self.model[name], self.serials[name] = nodes, serial
        assert zone.generation > self.generation
        self.generation = zone.generation

    @precondition(lambda self: self.model)
    @rule(data=st.data(), changes=CHANGES, serial=SERIALS)
    def commit_changes(self, data: st.DataObject, changes: dict[bytes, bytes | None], serial: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        if changes.get(b"", b"") is None:
            changes[b""] = b"other apex"
        zone = commit_changes(self.store, changes, serial, name=name)
        self.model[name] = {key: node for key, node in {**self.model[name], **changes}.items() if node is not None}
        self.serials[name] = serial
        assert zone.generation > self.generation
        self.generation = zone.generation

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.store.compact(data.draw(st.sampled_from(sorted(self.model))))

    @rule(name=NAMES)
    def remove(self, name: bytes) -> None:
        self.store.remove(name)
        self.model.pop(name, None)

    @rule(name=NAMES)
    def quarantine(self, name: bytes) -> None:
        self.store.quarantine(name, NOW)
        self.model.pop(name, None)

    @rule(name=NAMES, when=st.floats(0, 1e10))
    def save_timers(self, name: bytes, when: float) -> None:
        self.store.save_timers({name: TIMERS._replace(refresh_at=when)})

    @rule()
    def reopen(self) -> None:
        before = self.store.zones()
        self.store.close()
        self.store = Store.open(self.directory, NOW)
        assert self.store.zones() == before
        assert self.store.notices == []

    @rule(key=KEYS)
    def read_one(self, key: bytes) -> None:
        for name, nodes in self.model.items():
            assert self.store.node(name, key) == nodes.get(key)

    @invariant()
    def both_hold_the_same(self) -> None:
        zones = self.store.zones()
        assert zones.keys() == self.model.keys()
        for name, nodes in self.model.items():
            loaded = self.reader.load(name)
            assert loaded is not None
            with closing(loaded):
                assert [item for items in loaded.slices for item in items] == sorted(nodes.items())
            assert loaded.meta == zones[name]
            assert loaded.meta.serial == self.serials[name]
            assert loaded.meta.owners == len(nodes)
            assert loaded.meta.size == sum(len(key) + len(node) for key, node in nodes.items())


StoreAgainstModel.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStoreAgainstModel = StoreAgainstModel.TestCase
