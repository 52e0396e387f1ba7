"""How long an ordinary client waits while a zone of a million records comes in by AXFR, and when nothing happens."""

import threading
import time

from bench import worlds
from bench.contestants import Contestant
from bench.failed import Failed
from bench.lab import Lab
from bench.scenario import DATABASE, Figures, Row, Scenario
from floods.prober import UdpProbe, question
from support.tables import percentile

RATE = 500.0  # questions a second
PIECE = 0.5  # seconds that the client asks before it is looked whether the transfer is over
LOOK = 0.02  # seconds between two looks

Taken = list[tuple[float, float | None]]  # when a question was due, how long its answer took


class Latency(Scenario):
    name = "latency"
    title = "p99 of 500 questions a second for a zone of 100k RRs, idle and while another of 1M RRs comes in by AXFR"
    rows = (
        Row("ratio", "p99 query latency while 1M RRs come in, over idle", "times", (), 3.0, 1.5),
        Row("idle_p99_ms", "p99 query latency, idle", "ms", ("Knot", "NSD", "BIND")),
        Row("busy_p99_ms", "p99 query latency while 1M RRs come in", "ms", ("Knot", "NSD", "BIND")),
    )
    slow = DATABASE

    def prepare(self, lab: Lab) -> None:
        worlds.whole(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        primary = worlds.whole(lab)
        with lab.ready(contestant, dict.fromkeys((worlds.ASKED, worlds.WHOLE), primary.port)) as server:
            idle = [taken for _, taken in ask(server.port, lab.sizes.seconds)]
            serial = worlds.change_whole(lab)
            served: list[float] = []

            def wait() -> None:
                served.append(lab.answered(server, worlds.WHOLE, serial, every=LOOK))

            told = time.monotonic()
            with worlds.Notifier(server.port) as notifier:
                notifier.tell(worlds.WHOLE)
            waiter = threading.Thread(target=wait)
            waiter.start()
            taken: Taken = []
            while waiter.is_alive():
                taken += ask(server.port, PIECE)
            waiter.join()
        if not served:
            raise Failed(f"{contestant.name} did not take the zone in")
        # All, where it was served before the first was due: of a small zone there is nothing to see.
        busy = [each for due, each in taken if due <= served[0]] or [each for _, each in taken]
        return {
            "idle_p99_ms": percentile(idle, 0.99) * 1000,
            "busy_p99_ms": percentile(busy, 0.99) * 1000,
            "ratio": percentile(busy, 0.99) / percentile(idle, 0.99),
            "seconds": served[0] - told,
            "lost": sum(each is None for each in busy) / len(busy),
        }


def ask(port: int, seconds: float) -> Taken:
    """An ordinary client for some seconds."""
    probe = UdpProbe(port, question(f"host0000001.{worlds.ASKED}"))
    start = time.monotonic() + 0.01
    probe.run(start, seconds, RATE)
    return [(start + slot / RATE, taken) for slot, taken in enumerate(probe.taken)]
