"""Ten minutes of everything at once: changes, kill -9, and questions whose every answer is checked.

    Knot ◀── a new version, ten a second ── Publisher         board: published, floor
      │ NOTIFY, IXFR                                               │
    nameserver (2 workers) ◀── kill -9, start again ── Keeper      ▼
      ▲ ▲ └──────────────── status ──▶ Inspector ──▶ floor   querier (a process): 2,000 questions a second
      │ └── whole zones (AXFR) ─────── Auditor

    make soak [SECONDS=600] [SEED=…]         exit status 1: an answer was wrong, a zone lost, a serial went backwards,
                                             a process left behind, or the main process ended by itself

What counts as which: `querier.Watcher.check`; when a serial went backwards: `floor`. Unanswered questions are no fault,
for a killed process answers nobody, but how many and for how long is printed.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dns.exception
from soak.board import Board, Slot
from soak.floor import Floor
from soak.history import STATIC_ZONES, ZONE, static_text, text_at, whole_zone
from soak.keeper import Keeper
from soak.report import Run
from support.ask import Record, TransferRefused, zone_records
from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary, Primary, Target
from support.process import program, short_directory
from support.wait import wait_for

WORKERS = 2
QUERIES = 2000  # a second
CHANGES = 10  # a second
PROGRESS = 10.0
READY_PATIENCE = 60.0  # seconds from a start until every zone must be served by each worker
ENOUGH = 0.8  # of the wanted changes and questions; a run with fewer shows less than it should, and says so


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class SoakPrimary(KnotPrimary):
    """Keeps a longer history, and waits a shorter time for an answer to its NOTIFY: nobody else's is due meanwhile."""

    def configure(self) -> None:
        super().configure()
        path = self.directory / "knot.conf"
        text = path.read_text().replace("  udp-workers: 1\n", "  udp-workers: 1\n  tcp-remote-io-timeout: 500\n")
        path.write_text(text.replace("    journal-content:", "    journal-max-depth: 1000\n    journal-content:"))


class Publisher(threading.Thread):
    """One new version after another, `CHANGES` a second; where the primary takes longer, as fast as it goes."""

    def __init__(self, primary: Primary, board: Board) -> None:
        super().__init__(daemon=True)
        self._primary = primary
        self._board = board
        self.failure: Exception | None = None
        self.over = False

    def run(self) -> None:
        due = time.monotonic()
        zone = ZONE.rstrip(".")
        while not self.over:
            serial = self._board[Slot.PUBLISHED] + 1
            self._board[Slot.PUBLISHED] = serial  # before anyone can see it
            try:
                self._primary.write(zone, text_at(serial))
                self._primary.load(zone)
            except (AssertionError, OSError, subprocess.SubprocessError) as problem:
                self.failure = problem
                return
            due = max(due + 1 / CHANGES, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))


class Inspector(threading.Thread):
    """Asks status five times a second: what is confirmed, whether every zone is still held."""

    def __init__(self, ours: Nameserver, keeper: Keeper, floor: Floor) -> None:
        super().__init__(daemon=True)
        self._ours = ours
        self._keeper = keeper
        self._floor = floor
        self.static = {zone["name"]: zone["generation"] for zone in ours.status()["zones"]}
        del self.static[ZONE.rstrip(".")]
        self.serial = 0
        self.lost: set[str] = set()
        self.over = False

    def run(self) -> None:
        while not self.over:
            status = self._ours.status()
            child = self._ours.child
            if status and child is not None and status["server"]["pid"] == child.pid:
                self._look(status["zones"])
            died = self._keeper.died_at
            if died is not None and time.monotonic() - died > READY_PATIENCE:
                self.lost.add(f"not every zone was served within {READY_PATIENCE:.0f} s of a restart")
            time.sleep(0.2)

    def _look(self, zones: list[dict[str, Any]]) -> None:
        """While it starts it may not know of its zones; those it knows it must hold, the very same as before."""
        for zone in zones:
            everywhere = zone["workers_serving"] >= WORKERS
            if not zone["answering"]:
                self.lost.add(f"{zone['name']} is not answered: {zone['state']}, {zone['last_detail']}")
            if zone["name"] not in self.static:
                self.serial = zone["serial"] or 0
                self._floor.status(self.serial, everywhere)
            elif zone["generation"] != self.static[zone["name"]]:
                self.lost.add(f"{zone['name']} was fetched again although it never changed")
        if len(zones) == 1 + len(self.static) and all(zone["workers_serving"] >= WORKERS for zone in zones):
            self._keeper.ready()


class Auditor(threading.Thread):
    """Transfers the whole zone every second, and holds it against what its serial says."""

    def __init__(self, ours: Nameserver, board: Board) -> None:
        super().__init__(daemon=True)
        self._ours = ours
        self._board = board
        self.checked = 0
        self.unanswered = 0
        self.faults: list[str] = []
        self.over = False

    def run(self) -> None:
        while not self.over:
            floor = self._board[Slot.FLOOR]
            try:
                self._check(self._ours.axfr(ZONE.rstrip(".")), floor)
            except TransferRefused as refused:
                self.faults.append(f"LOST: transfer out refused: {refused}")
            except (OSError, EOFError, dns.exception.DNSException):
                self.unanswered += 1
            time.sleep(1)

    def _check(self, records: set[Record], floor: int) -> None:
        serials = [int(record.rdata.split()[2]) for record in records if record.rdtype == "SOA"]
        if len(serials) != 1 or records != whole_zone(serials[0]):
            self.faults.append(f"WRONG: a transfer with SOA serials {serials} is no version of the zone")
        elif serials[0] < floor:
            self.faults.append(f"BACKWARDS: a transfer of serial {serials[0]}, after {floor}")
        self.checked += 1


class Soak:
    """One run."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._directory = short_directory("soak")
        self._board = Board(self._directory / "board", create=True)
        self._board[Slot.SETTLED] = self._board[Slot.PUBLISHED] = 1
        self._seed = seed
        self._complaints: list[str] = []
        self._figures: dict[str, Any] = {}
        self._elapsed = 0.0

    def run(self) -> bool:
        """True where nothing was wrong."""
        key = new_key("transfer-key")
        names = [ZONE.rstrip("."), *(zone.rstrip(".") for zone in STATIC_ZONES)]
        texts = {zone.rstrip("."): static_text(zone) for zone in STATIC_ZONES} | {names[0]: text_at(1)}
        with (
            Nameserver(zones=names, key=key, workers=WORKERS) as ours,
            SoakPrimary(texts, transfer_key=key, notify=[Target(ours.port, key)]) as primary,
        ):
            try:
                primary.start()
                ours.primary_port = primary.port
                ours.start()
                good = self._soak(ours, primary)
                if not good:
                    kept = Path(f"/tmp/soak-{self._seed}.log")
                    kept.write_text(ours.log)
                    say(f"our log: {kept}")
                return good
            finally:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _soak(self, ours: Nameserver, primary: Primary) -> bool:
        floor = Floor(self._board)
        keeper = Keeper(ours, self._board, floor, random.Random(self._seed))
        publisher = Publisher(primary, self._board)
        inspector = Inspector(ours, keeper, floor)
        auditor = Auditor(ours, self._board)
        threads = (publisher, inspector, auditor)
        querier = self._start_querier(ours.port)
        reader = threading.Thread(target=self._read, args=(querier,), daemon=True)
        try:
            for thread in (*threads, reader):
                thread.start()
            self._watch(keeper, publisher, inspector, querier)
            publisher.over = True
            publisher.join(10)
            self._catch_up(ours, primary, keeper)
        finally:
            for thread in threads:
                thread.over = True
            self._board[Slot.STOP] = 1
            keeper.end()
            try:
                querier.wait(30)
            except subprocess.TimeoutExpired:
                querier.kill()
        for thread in (*threads, reader):
            thread.join(10)
        try:
            ours.stop()
        except AssertionError as problem:
            self._complain(f"at the end: {problem}")
        return self._report(ours, keeper, inspector, auditor)

    def _start_querier(self, port: int) -> "subprocess.Popen[str]":
        arguments = [str(port), str(self._directory / "board"), str(QUERIES), str(self._seed)]
        command = [sys.executable, "-m", "soak.querier", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _read(self, querier: "subprocess.Popen[str]") -> None:
        for line in querier.stdout or ():
            if line.startswith("{"):
                self._figures = json.loads(line)
            else:
                self._complain(line.rstrip())

    def _complain(self, text: str) -> None:
        self._complaints.append(text)
        say(f"  {text}")

    def _watch(
        self, keeper: Keeper, publisher: Publisher, inspector: Inspector, querier: "subprocess.Popen[str]"
    ) -> None:
        start = time.monotonic()
        shown = 0.0
        while (elapsed := time.monotonic() - start) < self._seconds:
            keeper.step()
            if publisher.failure is not None:
                raise publisher.failure
            if querier.poll() is not None:
                raise RuntimeError("the querier ended before its time")
            if elapsed - shown >= PROGRESS:
                shown += PROGRESS
                self._progress(shown, keeper, inspector)
            time.sleep(0.02)
        self._elapsed = time.monotonic() - start
        # What is dead now is started once more, and stays.
        wait_for(lambda: keeper.settled(), READY_PATIENCE, "the last start")

    def _progress(self, elapsed: float, keeper: Keeper, inspector: Inspector) -> None:
        board = self._board
        say(
            f"{elapsed:5.0f} s  serial {board[Slot.PUBLISHED]}, ours {inspector.serial}; {keeper.kills.total()} kills; "
            f"{board[Slot.SENT]} asked, {board[Slot.ANSWERED]} answered, {board[Slot.UNANSWERED]} not; "
            f"wrong {board[Slot.WRONG]}, lost {board[Slot.LOST]}, backwards {board[Slot.BACKWARDS]}"
        )

    def _catch_up(self, ours: Nameserver, primary: Primary, keeper: Keeper) -> None:
        """Left alone, it comes to hold what the primary holds; every zone, whole."""
        newest = self._board[Slot.PUBLISHED]

        def done() -> bool:
            keeper.step(killing=False)
            zone = ours.zone(ZONE.rstrip("."))
            return bool(zone) and zone["serial"] == newest and zone["workers_serving"] >= WORKERS

        try:
            wait_for(done, 60, "the last version to be served")
            for zone in primary.zones:
                if ours.axfr(zone) != zone_records(primary.port, zone, primary.transfer_key):
                    self._complain(f"at the end {zone} is not what the primary has")
        except (AssertionError, TransferRefused, OSError, EOFError) as problem:
            self._complain(f"at the end: {problem}")

    def _report(self, ours: Nameserver, keeper: Keeper, inspector: Inspector, auditor: Auditor) -> bool:
        run = Run(
            seconds=self._elapsed,
            seed=self._seed,
            board=self._board,
            figures=self._figures,
            log=ours.log,
            kills=keeper.kills,
            starts=keeper.starts,
            to_ready=keeper.to_ready,
            left_behind=keeper.left_behind,
            unprovoked=keeper.unprovoked,
            transfers_checked=auditor.checked,
            transfers_unanswered=auditor.unanswered,
            faults=auditor.faults,
            lost=sorted(inspector.lost),
        )
        say("\n" + "\n".join(run.lines()))
        if min(run.changes / CHANGES, self._board[Slot.SENT] / QUERIES) < ENOUGH * self._elapsed:
            say("this machine was too busy: fewer changes or questions than wanted; this run shows less than it should")
        good = run.good and not self._complaints
        say("good" if good else "BAD")
        return good


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", default="")
    arguments = parser.parse_args()
    missing = [name for name in KnotPrimary.programs if program(name) is None]
    if missing:
        say(f"soak: {', '.join(missing)} is not here; as root: apt-get install --no-install-recommends knot")
        return 2
    seed = int(arguments.seed) if arguments.seed else random.SystemRandom().randrange(2**32)
    say(f"soak: {arguments.seconds:.0f} s, SEED={seed}")
    return 0 if Soak(arguments.seconds, seed).run() else 1


if __name__ == "__main__":
    raise SystemExit(main())
