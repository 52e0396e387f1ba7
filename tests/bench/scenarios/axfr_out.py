"""A zone of a million records handed out by AXFR with TSIG, to one client that reads as fast as it comes."""

from statistics import median

from bench import worlds
from bench.contestants import Contestant
from bench.drain import drain
from bench.lab import Lab
from bench.scenario import DATABASE, Figures, Row, Scenario

TIMES = 3


class AxfrOut(Scenario):
    name = "axfr-out"
    title = "a zone of 1M RRs by AXFR with TSIG, three times, to one client that reads and counts"
    rows = (
        Row("seconds", "AXFR out, 1M RRs, TSIG", "s", ("BIND",), 4.0, 1.0),
        Row("cpu_seconds", "AXFR out, 1M RRs, TSIG: CPU", "s", ("BIND",)),
    )
    slow = DATABASE

    def prepare(self, lab: Lab) -> None:
        worlds.large(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        records = worlds.large_records(lab)
        with lab.ready(contestant, worlds.large(lab), lab.key) as server:
            before = lab.cpu(server)
            taken = [drain(server.port, worlds.LARGE, lab.key, records) for _ in range(TIMES)]
            return {"seconds": median(taken), "cpu_seconds": (lab.cpu(server) - before) / TIMES}
