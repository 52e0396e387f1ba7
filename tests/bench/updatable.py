"""Primaries whose zones are changed by dynamic update, from loopback: BIND takes one in under a millisecond."""

import shutil
import tempfile
from pathlib import Path

from support.peers import BindPrimary, KnotPrimary

MEMORY = Path("/dev/shm")


class UpdatableBind(BindPrimary):
    """Its journal is made from the updates; in memory where there is room for files, since each is flushed to disk."""

    def __post_init__(self) -> None:
        super().__post_init__()
        place = MEMORY if MEMORY.is_dir() else self.directory
        self.journals = Path(tempfile.mkdtemp(prefix="bench-", dir=place))

    def configure(self) -> None:
        super().configure()
        file = self.directory / "named.conf"
        text = file.read_text().replace("ixfr-from-differences yes;", "")
        text = text.replace("type primary;", "type primary; allow-update { 127.0.0.0/8; };")
        for zone in self.zones:
            text = text.replace(f'zone "{zone}" {{', f'zone "{zone}" {{ journal "{self.journals}/{zone}.jnl";')
        file.write_text(text)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.journals, ignore_errors=True)


class UpdatableKnot(KnotPrimary):
    """It gathers updates for some ten milliseconds."""

    def configure(self) -> None:
        super().configure()
        file = self.directory / "knot.conf"
        rule = "acl:\n  - id: change\n    address: 127.0.0.0/8\n    action: update\n"
        file.write_text(file.read_text().replace("acl:\n", rule, 1).replace("acl: [", "acl: [change, "))
