"""10,000 zones of ten records: the first sync, a NOTIFY for every zone after each has changed, a restart."""

import time

from bench import contestants, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import DATABASE, Figures, Row, Scenario
from bench.sweep import Sweep

PATIENCE_A_ZONE = 0.04  # seconds: BIND needs a fifteenth of that on a quiet machine, and this one may be busy


class ManyZones(Scenario):
    name = "many-zones"
    title = "10,000 zones of 10 RRs from Knot: first sync; all changed, a NOTIFY each; restart; until all are answered"
    rows = (
        Row("sync_seconds", "10,000 zones: first sync", "s", ("Knot",), 2.0, 1.0),
        Row("notify_seconds", "10,000 zones: a NOTIFY for every one, until all are changed", "s", ("Knot",), 2.0, 1.0),
        Row("restart_seconds", "10,000 zones: restart until all answer", "s", ("Knot",), 2.0, 1.0),
    )
    slow = DATABASE

    def prepare(self, lab: Lab) -> None:
        worlds.many(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        world = worlds.many(lab)
        patience = max(lab.patience, PATIENCE_A_ZONE * len(world.names))
        with (
            lab.server(contestant, dict.fromkeys(world.names, world.primary.port)) as server,
            Sweep(server.port) as all_,
        ):
            began = time.monotonic()
            lab.start(server)
            synced = all_.until(world.names, world.serial, patience)
            lab.settle(server)
            world.change()
            told = time.monotonic()
            changed = all_.until(world.names, world.serial, patience, notify=True)
            lab.settle(server)
            contestants.stop(server)
            again = time.monotonic()
            lab.start(server)
            answered = all_.until(world.names, world.serial, patience)
            return {
                "sync_seconds": synced - began,
                "notify_seconds": changed - told,
                "restart_seconds": answered - again,
            }
