"""Many quick changes of a zone at a real primary, by dynamic update: how soon the last is answered, and at what cost.

.venv/bin/python tests/bench/bench_changes.py [CHANGES]       (default 1,000; one after the other, as fast as taken)

BIND twice: telling of each change, and as it comes, which is one NOTIFY for a zone in five seconds.
"""

# ruff: noqa: T201 - a script: it prints

import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dns.update
from bench.updatable import UpdatableBind, UpdatableKnot
from support.ask import LOOPBACK
from support.daemon import Nameserver
from support.peers import Primary, Target
from support.zones import small_zone_text

ZONE = "quick.test"
NOTIFY_LIMITS = "notify-delay 0; notify-rate 10000; startup-notify-rate 10000;"


class StockBind(UpdatableBind):
    """With BIND's own limits on NOTIFY."""

    name = "bind, its own notify-delay"

    def configure(self) -> None:
        super().configure()
        file = self.directory / "named.conf"
        file.write_text(file.read_text().replace(NOTIFY_LIMITS, ""))


def change(port: int, count: int) -> float:
    """Make so many changes; the seconds it took the primary to take them."""
    messages = []
    for number in range(count):
        update = dns.update.UpdateMessage(ZONE)
        update.replace("serial", 300, "TXT", f'"{number}"')
        messages.append(update.to_wire())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((LOOPBACK, port))
        client.settimeout(10)
        began = time.monotonic()
        for message in messages:
            client.send(message)
            if client.recv(512)[3] & 15:
                raise RuntimeError("an update was refused")
        return time.monotonic() - began


def measure(kind: type[Primary], count: int) -> None:
    with (
        Nameserver(zones=[ZONE], workers=2, server={"log-level": "debug"}) as ours,
        kind({ZONE: small_zone_text(ZONE, 1)}, notify=[Target(ours.port)]) as primary,
    ):
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        time.sleep(8)  # BIND counts its delay from the NOTIFY of its start
        before = len(ours.log)
        took = change(primary.port, count)
        ended = time.monotonic()
        while ours.serial(ZONE) != primary.serial(ZONE):
            time.sleep(0.002)
        late = time.monotonic() - ended
        log = ours.log[before:]
        counts = {what: log.count(f"{what} zone={ZONE}") for what in ("notify in", "check", "transfer in")}
        print(f"{primary.name}: {count} changes in {took:.2f} s; the last answered {late:.3f} s later; {counts}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for kind in (UpdatableBind, StockBind, UpdatableKnot):
        measure(kind, count)


if __name__ == "__main__":
    main()
