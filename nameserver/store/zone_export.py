"""A stored version as a canonical zone file, in bounded memory.

The store keeps owners in the order of their keys; a zone file has them in canonical order (RFC 4034 §6.1). So they are
sorted in runs, which are put aside in files where there is more than one, and merged:

    snapshot ──▶ 50,000 owners ──▶ sorted ──▶ file ┐
                 50,000 owners ──▶ sorted ──▶ file ┴──▶ merged ──▶ pieces of text
"""

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from nameserver.errors import StoreError
from nameserver.store.reader import LoadedZone, StoreReader
from nameserver.store.schema import StoredZone
from nameserver.store.sorted_texts import put_aside, read_back
from nameserver.zone.zone_text import owner_texts

OWNERS_AT_ONCE = 50_000
MOST_RUNS = 64  # files open at once; larger zones are sorted in larger runs
PIECE = 256 * 1024  # octets of text after which a piece ends


class ZoneExport:
    """One version of a zone, as of when this was made. `pieces` can be taken once."""

    def __init__(self, loaded: LoadedZone, spill: Path | None) -> None:
        """`spill`: the directory for what does not fit into memory; None: the system's for temporary files."""
        self._loaded = loaded
        self._spill = spill

    @classmethod
    def begin(cls, reader: StoreReader, name: bytes, spill: Path | None) -> "ZoneExport | None":
        """By the zone's folded wire name; None where it is not stored. Raises as `StoreReader.load`."""
        loaded = reader.load(name)
        return None if loaded is None else cls(loaded, spill)

    @property
    def meta(self) -> StoredZone:
        """What the store says of the version."""
        return self._loaded.meta

    def pieces(self) -> Iterator[bytes]:
        """The zone file, in pieces. Raises StoreError as `LoadedZone.slices`, and where it cannot be put aside."""
        gathered: list[str] = []
        size = 0
        try:
            with ExitStack() as stack:
                for text in self._in_order(stack):
                    gathered.append(text)
                    size += len(text)
                    if size >= PIECE:
                        yield "".join(gathered).encode("ascii")
                        gathered, size = [], 0
        except OSError as error:
            where = self._spill or tempfile.gettempdir()
            raise StoreError(f"zone {self.meta.text} cannot be sorted in {where}: {error.strerror}") from error
        finally:
            self.close()
        yield "".join(gathered).encode("ascii")

    def close(self) -> None:
        """Give the snapshot up; more than once does no harm."""
        self._loaded.close()

    def _in_order(self, stack: ExitStack) -> Iterator[str]:
        most = max(OWNERS_AT_ONCE, self.meta.owners // MOST_RUNS + 1)
        apex = self.meta.apex_as_received
        files: list[IO[bytes]] = []
        run: list[tuple[bytes, bytes]] = []
        for items in self._loaded.slices:
            run += items
            if len(run) >= most and len(run) < self.meta.owners:
                file = stack.enter_context(tempfile.TemporaryFile(dir=self._spill))  # noqa: SIM115
                put_aside(file, owner_texts(run, apex))
                files.append(file)
                run = []
        runs = [*map(read_back, files), iter(owner_texts(run, apex))]
        for _, text in heapq.merge(*runs):
            yield text
