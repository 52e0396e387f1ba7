"""Stopped in order and started again, the primary gone: until the zone of a million records is answered."""

import time

from bench import contestants, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import DATABASE, Figures, Row, Scenario
from support.process import free_port

PEERS = ("Knot", "NSD", "BIND")


class Restart(Scenario):
    name = "restart"
    title = "a zone of 1M RRs; stopped; started again while nobody listens at the primary's port; until it is answered"
    rows = (Row("seconds", "restart, 1M RRs, primary down: until answered", "s", PEERS, 1.5, 1.0),)
    slow = DATABASE

    def prepare(self, lab: Lab) -> None:
        worlds.large(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        with lab.ready(contestant, worlds.large(lab), lab.key) as server:
            contestants.stop(server)
            contestants.without_primary(server, free_port())
            began = time.monotonic()
            lab.start(server)
            return {"seconds": lab.answered(server, worlds.LARGE) - began}
