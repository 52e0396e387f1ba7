"""A zone of a million records taken in by AXFR with TSIG, until it is answered; what it takes in memory."""

import time

from bench import worlds
from bench.contestants import Contestant, answering_processes, resident
from bench.lab import Lab
from bench.scenario import DATABASE, Figures, Row, Scenario
from support.usage import memory

PEERS = ("Knot", "NSD", "BIND")


class AxfrIn(Scenario):
    name = "axfr-in"
    title = "a zone of 1M RRs taken in by AXFR with TSIG from Knot; memory once at rest"
    rows = (
        Row("seconds", "AXFR in, 1M RRs, TSIG: start until served", "s", ("BIND",), 1.5, 1.0),
        Row("rss_per_record", "memory per RR, 1M RRs: an answering process (RSS)", "bytes", PEERS, 0.6, 0.5),
        Row("pss_per_record", "memory per RR, 1M RRs: all processes (PSS)", "bytes", PEERS, 1.2, 1.0),
    )
    slow = DATABASE

    def prepare(self, lab: Lab) -> None:
        worlds.large(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        records = lab.sizes.many_records
        with lab.server(contestant, worlds.large(lab), lab.key) as server:
            began = time.monotonic()
            lab.start(server)
            served = lab.answered(server, worlds.LARGE)
            lab.settle(server)
            return {
                "seconds": served - began,
                "cpu_seconds": lab.cpu(server),
                "rss_per_record": max(map(resident, answering_processes(server))) / records,
                "pss_per_record": memory(lab.group(server)) / records,
            }
