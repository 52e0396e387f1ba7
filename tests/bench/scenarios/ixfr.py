"""One changed record at a time, by IXFR, from NOTIFY until it is answered: in zones of 100,000 and of 1M records."""

import random
import time

from bench import worlds
from bench.contestants import Contestant
from bench.lab import Lab, until_answered
from bench.scenario import NO_HISTORY, Figures, Row, Scenario
from support.tables import percentile

PAUSE = 0.05  # seconds between one change that is answered and the next
LOOK = 0.0003  # seconds between two looks


class Ixfr(Scenario):
    name = "ixfr"
    title = "a record changed at BIND by dynamic update; then NOTIFY, and how long until the answering process has it"
    rows = (
        Row("usual_p50_ms", "IXFR of one record, 100k RRs, NOTIFY to answered: p50", "ms", ("BIND",), 3.0, 1.0),
        Row("usual_p95_ms", "IXFR of one record, 100k RRs, NOTIFY to answered: p95", "ms", ("BIND",), 3.0, 1.0),
        Row("many_p50_ms", "IXFR of one record, 1M RRs, NOTIFY to answered: p50", "ms", ("BIND",), 3.0, 1.0),
        Row("many_p95_ms", "IXFR of one record, 1M RRs, NOTIFY to answered: p95", "ms", ("BIND",), 3.0, 1.0),
        Row("growth", "the same, p50 at 1M RRs over 100k", "times", (), 1.2, 1.0),
    )
    slow = NO_HISTORY

    def prepare(self, lab: Lab) -> None:
        worlds.changing(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        figures: Figures = {}
        primary = worlds.changing(lab)
        zones = dict.fromkeys((worlds.CHANGING, worlds.CHANGING_MANY), primary.port)
        with lab.ready(contestant.for_quick_changes(), zones) as server:
            for name, zone in (("usual", worlds.CHANGING), ("many", worlds.CHANGING_MANY)):
                taken = [_one(lab, primary.port, server.port, zone) for _ in range(lab.sizes.spaced_changes)]
                figures[f"{name}_p50_ms"] = percentile(taken, 0.50) * 1000
                figures[f"{name}_p95_ms"] = percentile(taken, 0.95) * 1000
        return figures | {"growth": figures["many_p50_ms"] / figures["usual_p50_ms"]}


def _one(lab: Lab, primary: int, server: int, zone: str) -> float:
    """Seconds from NOTIFY to the answer."""
    time.sleep(PAUSE * (0.5 + random.random()))
    with worlds.Updater(primary, zone) as updater:
        updater.change(updater.message(lab.next_number()))
        serial = updater.serial()
        with worlds.Notifier(server) as notifier:
            began = time.monotonic()
            notifier.tell(zone)
            return until_answered(server, zone, serial, lab.patience, every=LOOK) - began
