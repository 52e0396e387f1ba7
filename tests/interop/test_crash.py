"""kill -9 of every process at random moments, while a primary sends one change after another.

Each version's content follows from its serial alone, so whatever serial is served after a crash can be checked whole.
`make crash` runs 200 rounds; NAMESERVER_CRASH_ROUNDS and NAMESERVER_CRASH_SEED choose others.
"""

import os
import random
import signal
import threading
import time

import pytest
from support.ask import Record, transfer
from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary, Target, requires

ZONE = "crash.example"
ROUNDS = int(os.environ.get("NAMESERVER_CRASH_ROUNDS", "10"))
SEED = int(os.environ.get("NAMESERVER_CRASH_SEED") or random.SystemRandom().randrange(2**32))
HOSTS = 60
STATIC = 200  # records that never change: differences are to be smaller than the zone
STEPS_KEPT = 12  # at least: 64 KiB of history, and a step is up to 105 records of up to 50 octets
HASTE = 0.25  # share of the rounds in which a start is killed too

pytestmark = pytest.mark.timeout(120 + 10 * ROUNDS)


def address(serial: int, host: int) -> str:
    """Most hosts change with each serial, some stay for many."""
    changed = serial - serial % (1 + host % 4)
    return f"10.{changed >> 8 & 255}.{changed & 255}.{host}"


def names(serial: int) -> list[int]:
    """Which hosts there are: each third one comes and goes."""
    return [host for host in range(HOSTS) if host % 3 or (serial + host) % 2]


def text_of(serial: int) -> str:
    hosts = "".join(f"host-{host} 300 IN A {address(serial, host)}\n" for host in names(serial))
    hosts += "".join(f"static-{number} 300 IN A 192.0.2.{number}\n" for number in range(STATIC))
    return (
        f"$ORIGIN {ZONE}.\n@ 300 IN SOA ns1 hostmaster {serial} 3600 600 86400 300\n@ 300 IN NS ns1\n"
        f'ns1 300 IN A 127.0.0.1\nserial 300 IN TXT "{serial}"\n{hosts}'
    )


def records_of(serial: int) -> set[Record]:
    return {
        Record(f"{ZONE}.", 300, "SOA", f"ns1.{ZONE}. hostmaster.{ZONE}. {serial} 3600 600 86400 300"),
        Record(f"{ZONE}.", 300, "NS", f"ns1.{ZONE}."),
        Record(f"ns1.{ZONE}.", 300, "A", "127.0.0.1"),
        Record(f"serial.{ZONE}.", 300, "TXT", f'"{serial}"'),
        *(Record(f"host-{host}.{ZONE}.", 300, "A", address(serial, host)) for host in names(serial)),
        *(Record(f"static-{number}.{ZONE}.", 300, "A", f"192.0.2.{number}") for number in range(STATIC)),
    }


class Publisher(threading.Thread):
    """Makes the primary publish one version after another, until it is told to pause."""

    def __init__(self, primary: KnotPrimary) -> None:
        super().__init__(daemon=True)
        self.primary = primary
        self.serial = 1
        self.failure: Exception | None = None
        self._go = threading.Event()
        self._turn = threading.Lock()
        self._over = False

    def run(self) -> None:
        while not self._over:
            self._go.wait()
            with self._turn:
                if self._over or not self._go.is_set():
                    continue
                self.serial += 1
                try:
                    self.primary.write(ZONE, text_of(self.serial))
                    self.primary.load(ZONE)
                except (AssertionError, OSError) as problem:
                    self.failure = problem
                    return

    def resume(self) -> None:
        self.primary.child.signal(signal.SIGCONT)
        self._go.set()

    def pause(self) -> None:
        """Between two versions; and the primary itself stands still."""
        self._go.clear()
        with self._turn:
            if self.failure:
                raise self.failure
            self.primary.child.signal(signal.SIGSTOP)

    def end(self) -> None:
        self._over = True
        self._go.set()
        self.primary.child.signal(signal.SIGCONT)
        self.join(20)


def watch(ours: Nameserver, seconds: float) -> int:
    """The highest serial it answers with during this time: one that it must never fall behind again."""
    highest = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        highest = max(highest, ours.serial(ZONE) or 0)
    return highest


def changed(records: list[Record], before: set[Record]) -> set[Record]:
    """What the differences of an IXFR, in the order sent, make of a zone."""
    zone, deleting = set(before), False
    for record in records[1:-1]:
        if record.rdtype == "SOA":
            deleting = not deleting
        if deleting:
            zone.remove(record)
        else:
            zone.add(record)
    return zone


def one_round(ours: Nameserver, publisher: Publisher, dice: random.Random, seen: int) -> int:
    """Changes flow; everything is killed; with the primary standing still, what was published is served, whole."""
    before = seen
    publisher.resume()
    seen = max(seen, watch(ours, dice.uniform(0.02, 0.6)))
    ours.kill_all()
    while dice.random() < HASTE:
        ours.start(wait_ready=False)
        time.sleep(dice.uniform(0.0, 1.0))
        ours.kill_all()
    publisher.pause()
    ours.start()
    served = ours.serial(ZONE)
    assert served is not None
    assert seen <= served <= publisher.serial
    assert ours.axfr(ZONE) == records_of(served)
    if 0 < before < served:  # whoever has what was served in the round before gets what changed since
        differences = transfer(ours.port, ZONE, ours.watch_key, since=before)
        if differences[1].rdtype == "SOA":
            assert changed(differences, records_of(before)) == records_of(served)
        else:
            assert served - before > STEPS_KEPT, f"from {before} to {served} it sends the whole zone"
    assert ours.query(f"serial.{ZONE}", "TXT").answer[0][0].to_text() == f'"{served}"'
    return served


def test_after_kill_9_it_answers_at_a_serial_it_had_published_with_exactly_its_content() -> None:
    requires(*KnotPrimary.programs)
    dice = random.Random(SEED)
    key = new_key("transfer-key")
    with (
        Nameserver(zones=[ZONE], key=key, workers=2) as ours,
        KnotPrimary({ZONE: text_of(1)}, transfer_key=key, notify=[Target(ours.port, key)]) as primary,
    ):
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        publisher = Publisher(primary)
        publisher.start()
        serials = [1]
        try:
            for number in range(1, ROUNDS + 1):
                try:
                    serials.append(one_round(ours, publisher, dice, serials[-1]))
                except AssertionError as problem:
                    raise AssertionError(
                        f"round {number} of {ROUNDS}, NAMESERVER_CRASH_SEED={SEED}: {problem}"
                    ) from problem
        finally:
            publisher.end()
        # Shown by `make crash`.
        print(f"{ROUNDS} rounds, NAMESERVER_CRASH_SEED={SEED}: serials {serials[0]} to {serials[-1]}")  # noqa: T201
        assert len(set(serials)) > ROUNDS // 3, "changes hardly flowed: this run shows little"
        ours.wait(lambda: ours.serial(ZONE) == publisher.serial, 30, "it to catch up once the primary is back")
        assert ours.axfr(ZONE) == records_of(publisher.serial)
        assert "got=ixfr" in ours.log
        ours.stop()
