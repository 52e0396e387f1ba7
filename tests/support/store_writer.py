"""Commits versions without end, printing the serial of each once it is committed: to be killed at any moment.

    python store_writer.py STATE-DIR

Every third version is a whole one, the others change every tenth owner; either way the content of a serial is
`version_of(serial)`, so that whoever opens the store afterwards can tell whether a version is whole.
"""

import sys
from pathlib import Path

from nameserver.store.database import Store, ZoneTimers

NAME = b"\x04busy\x00"
OWNERS = 3000
TIMERS = ZoneTimers(1.0, 1.0, 1e9, 2.0)


def version_of(serial: int) -> dict[bytes, bytes]:
    """What the zone holds at a serial: an owner's node is as of the last serial that changed it."""
    nodes = {b"": b"\x00soa %d" % serial}
    for number in range(1, OWNERS):
        label = b"host%05d" % number
        # Whole versions are those divisible by three; the owner changes in those and where its last digit says so.
        changed = next(at for at in range(serial, -1, -1) if at % 3 == 0 or number % 10 == at % 10)
        nodes[bytes((len(label),)) + label] = b"\x00" + b"%d:%d " % (number, changed) * 10
    return nodes


def main() -> None:
    """Go on from whatever version is stored."""
    store = Store.open(Path(sys.argv[1]), 0.0)
    held = store.zones().get(NAME)
    serial = held.serial if held else -1
    nodes = version_of(serial) if held else {}
    while True:
        serial += 1
        new = version_of(serial)
        common = {"serial": serial, "soa_rdata": b"soa %d" % serial, "timers": TIMERS}
        if held is None or serial % 3 == 0:
            held = store.commit_full(
                NAME, "busy", new, apex_as_received=NAME, records=OWNERS, source="a test", **common
            )
        else:
            changes = {key: node for key, node in new.items() if nodes.get(key) != node}
            held = store.commit_changes(NAME, changes, base_generation=held.generation, records_delta=0, **common)
        if store.needs_compaction(NAME) or serial % 7 == 0:
            store.compact(NAME)
        nodes = new
        sys.stdout.write(f"{serial}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
