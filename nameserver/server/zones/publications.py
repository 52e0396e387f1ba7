"""Versions on their way from the store to every worker, and what follows once all of them answer one.

    committed ─▶ (each worker confirms) ─▶ answered everywhere ─▶ the servers below us are told (`downstreams`)

Where versions come faster than workers confirm, the newest that all of them answer is told, not only the last of all.
"""

import time
from collections.abc import Callable

from nameserver.config.model import ZoneConfig
from nameserver.server.supervisor import Supervisor
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.entry import Publication, ZoneEntry
from nameserver.store.database import StoredZone
from nameserver.telemetry.tally import Tally


class Publications:
    """What is known of all zones' versions at the workers. `on_moved` is told of a zone that may have got further."""

    def __init__(self, supervisor: Supervisor, downstreams: Downstreams, tally: Tally) -> None:
        self._supervisor = supervisor
        self._downstreams = downstreams
        self._tally = tally
        self.on_moved: Callable[[bytes], None] = lambda _zone: None

    @property
    def alive(self) -> int:
        """How many workers there are to confirm a version."""
        return sum(worker.channel is not None for worker in self._supervisor.workers)

    @staticmethod
    def committed(entry: ZoneEntry, stored: StoredZone) -> None:
        """A version is in the store, and the workers were told of it."""
        entry.publishing.append(Publication(stored.generation, stored.serial, stored.soa_rdata, time.monotonic()))

    def confirmed(self, entry: ZoneEntry, stored: StoredZone | None, alive: int) -> None:
        """A worker has confirmed some version: where all `alive` ones have, those below us are told."""
        if not alive:
            return
        if entry.publishing:
            self._answered(entry, alive)
        elif entry.answered is None and stored and self._serving(entry, stored.generation) >= alive:
            entry.answered = Publication(stored.generation, stored.serial, stored.soa_rdata, time.monotonic())
            self.resume(entry)
        self.on_moved(entry.config.name)

    def _answered(self, entry: ZoneEntry, alive: int) -> None:
        done = 0
        while done < len(entry.publishing) and self._serving(entry, entry.publishing[done].generation) >= alive:
            done += 1
        if not done:
            return
        now = time.monotonic()
        for each in entry.publishing[:done]:
            self._tally.publish.observe(now - each.at)
        if entry.notified_at is not None:
            self._tally.notify_to_publish.observe(now - entry.notified_at)
            entry.notified_at = None
        entry.answered = entry.publishing[done - 1]
        del entry.publishing[:done]
        if entry.answering:
            self._downstreams.publish(entry.config, entry.answered.serial, entry.answered.soa_rdata)

    def _serving(self, entry: ZoneEntry, generation: int) -> int:
        return self._supervisor.serving(entry.config.name, generation)

    def resume(self, entry: ZoneEntry) -> None:
        """Nobody remembers who below us was told of what is answered here."""
        if entry.answered is not None and entry.answering:
            self._downstreams.resume(entry.config, entry.answered.serial, entry.answered.soa_rdata)

    def reconfigured(self, entry: ZoneEntry, before: ZoneConfig) -> None:
        """A reload has given the zone other settings: whoever is to be told from now on may be behind."""
        after = entry.config
        if (before.also_notify, before.notify_ns, before.check_downstreams) != (
            after.also_notify,
            after.notify_ns,
            after.check_downstreams,
        ):
            self.resume(entry)

    def serial_everywhere(self, entry: ZoneEntry) -> int | None:
        """The serial that every worker answers, or has answered and may be past; None while there is none.

        Of a paused zone nothing is answered.
        """
        answered, alive = entry.answered, self.alive
        if answered is None or not alive or not entry.answering or entry.pause is not None:
            return None
        return answered.serial if self._serving(entry, answered.generation) >= alive else None
