"""A thousand changes as fast as the primary takes them, each followed by NOTIFY: until the last is answered."""

import time

from bench import worlds
from bench.contestants import Contestant
from bench.failed import Failed
from bench.lab import Lab, until_answered
from bench.scenario import NO_HISTORY, Figures, Row, Scenario

AGAIN = 1.0  # seconds until NOTIFY is sent again
LOOK = 0.0005  # seconds between two looks


class Changes(Scenario):
    name = "changes"
    title = "1,000 dynamic updates of a zone of 100k RRs at BIND, NOTIFY after each, until the last is answered"
    rows = (
        Row("seconds", "1,000 quick changes until all are served", "s", ("BIND",), 3.0, 1.2),
        Row("after_ms", "the last of 1,000 quick changes, after the primary took it", "ms", ("BIND",)),
        Row("cpu_seconds", "1,000 quick changes: CPU", "s", ("BIND",)),
    )
    slow = NO_HISTORY

    def prepare(self, lab: Lab) -> None:
        worlds.changing(lab)

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        primary, zone = worlds.changing(lab), worlds.CHANGING
        with (
            lab.ready(contestant.for_quick_changes(), {zone: primary.port}) as server,
            worlds.Updater(primary.port, zone) as updater,
            worlds.Notifier(server.port) as notifier,
        ):
            messages = [updater.message(lab.next_number()) for _ in range(lab.sizes.changes)]
            used = lab.cpu(server)
            began = time.monotonic()
            for message in messages:
                updater.change(message)
                notifier.tell(zone)
            changed = time.monotonic()
            served = self._served(lab, server.port, notifier, updater.serial())
            lab.settle(server)
            return {
                "seconds": served - began,
                "after_ms": (served - changed) * 1000,
                "cpu_seconds": lab.cpu(server) - used,
            }

    @staticmethod
    def _served(lab: Lab, port: int, notifier: worlds.Notifier, serial: int) -> float:
        """When the last was answered; told of once a second, since NSD forgets a NOTIFY that comes at a bad moment."""
        end = time.monotonic() + lab.patience
        while True:
            try:
                return until_answered(port, worlds.CHANGING, serial, AGAIN, every=LOOK)
            except Failed:
                if time.monotonic() > end:
                    raise
                notifier.tell(worlds.CHANGING)
