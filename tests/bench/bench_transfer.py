"""A large zone from a real Knot: until it is served, what that takes, a restart without the primary. Prints figures.

.venv/bin/python tests/bench/bench_transfer.py [OWNERS]       (default 750,000: a million records)
"""

# ruff: noqa: T201 - a script: it prints

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary

ZONE = "big.test"


def zone_text(owners: int) -> str:
    """Every owner has an A, every third an AAAA."""
    lines = [f"$ORIGIN {ZONE}.", "$TTL 300", "@ SOA ns1 host 1 3600 600 1209600 300", "@ NS ns1", "ns1 A 192.0.2.1"]
    for number in range(owners):
        lines.append(f"host{number:07} A 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        if number % 3 == 0:
            lines.append(f"host{number:07} AAAA 2001:db8::{number & 0xFFFF:x}")
    return "\n".join(lines) + "\n"


def seconds_until(condition: Callable[[], bool]) -> float:
    """Wall time until it holds."""
    began = time.monotonic()
    while not condition():
        time.sleep(0.02)
    return time.monotonic() - began


def usage(pid: int) -> str:
    """Resident memory now and at its peak, CPU seconds, of one process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / 100
    return f"resident {status['VmRSS'].split()[0]} kB, peak {status['VmHWM'].split()[0]} kB, {cpu:.1f} s CPU"


def main() -> None:
    owners = int(sys.argv[1]) if len(sys.argv) > 1 else 750_000
    key = new_key("transfer-key")
    with KnotPrimary({ZONE: zone_text(owners)}, transfer_key=key) as primary:
        primary.start()
        with Nameserver(zones=[ZONE], primary_port=primary.port, key=key, workers=1) as ours:

            def served() -> bool:
                try:
                    return ours.serial(ZONE) == 1
                except Exception:  # noqa: BLE001 - not listening yet
                    return False

            ours.start(wait_ready=False)
            print(f"until served, from the start: {seconds_until(served):.1f} s")
            last = ours.zone(ZONE)["last_transfer"]
            print(f"the transfer: {last['records']} records, {last['bytes']} bytes, {last['seconds']:.1f} s")
            for pid in ours.pids():
                print(f"  process {pid}: {usage(pid)}")
            primary.kill()
            ours.kill_all()
            ours.start(wait_ready=False)
            print(f"after kill -9, without the primary: {seconds_until(served):.1f} s until served")


if __name__ == "__main__":
    main()
