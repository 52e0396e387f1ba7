"""Waiting until a serial is answered: here by every worker, and by those below us (the control verb `wait`).

Nothing is polled: who waits is woken when a worker confirms a version of the zone, when something is heard of a server
below us, and when the zone expires, comes back or goes away.
"""

import asyncio
from typing import Any

from nameserver.control.protocol import ControlError, Json
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.entry import ZoneEntry
from nameserver.server.zones.manager import ZoneManager
from nameserver.transfer.propagation import reaches
from nameserver.zone.serial import MODULUS

MOST_WAITING = 200  # at once; who comes on top is told how things are, and to ask again
LONGEST_WAIT = 3600.0  # seconds that one request may wait


class Waiting:
    """Everybody who waits for a serial."""

    def __init__(self, zones: ZoneManager, downstreams: Downstreams) -> None:
        self._zones = zones
        self._downstreams = downstreams
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._count = 0
        zones.publications.on_moved = downstreams.on_moved = self.moved

    def moved(self, name: bytes) -> None:
        """Something has changed about a zone: whoever waits for it looks again."""
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(None)

    async def verb(self, request: Json) -> Json:
        """`wait`: "zone", "serial", "all" (also those below us), "within" (seconds).

        Returns how things are, once they are as wanted or the time is up; see `_report`. Raises ControlError for a zone
        that is not there, also where it goes away meanwhile.
        """
        serial, within = request.get("serial"), request.get("within", 0)
        if not request.get("zone"):
            raise ControlError("wait needs a zone")
        if not isinstance(serial, int) or isinstance(serial, bool) or not 0 <= serial < MODULUS:
            raise ControlError(f"wait needs a serial from 0 to {MODULUS - 1}")
        if not isinstance(within, int | float) or isinstance(within, bool) or not 0 <= within <= LONGEST_WAIT:
            raise ControlError(f"wait takes at most {LONGEST_WAIT:.0f} s")
        everyone = bool(request.get("all"))
        entry = self._zones.named(request["zone"])
        if everyone:
            self._downstreams.hurry(entry.config.name, serial)
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while not (report := self._report(entry, serial, everyone=everyone))["reached"]:
            if (left := until - loop.time()) <= 0 or self._count >= MOST_WAITING:
                break
            await self._woken(entry.config.name, left)
            entry = self._zones.named(request["zone"])
        return report

    async def _woken(self, name: bytes, patience: float) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(future)
        self._count += 1
        try:
            await asyncio.wait((future,), timeout=patience)
        finally:
            self._count -= 1
            waiting.discard(future)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def _report(self, entry: ZoneEntry, serial: int, *, everyone: bool) -> Json:
        """{"zone", "state", "reached", "serial": that every worker answers, "primary_serial", "downstreams": […]}."""
        here = self._zones.publications.serial_everywhere(entry)
        below: list[dict[str, Any]] = []
        settled = not everyone or self._downstreams.is_settled(entry.config.name)
        if everyone:
            for each in self._downstreams.statuses(entry.config.name):
                if each.is_told:
                    row = each.to_json()
                    below.append({"reached": reaches(each.serial, serial), **row})
        return {
            "zone": entry.config.text,
            "wanted": serial,
            "reached": reaches(here, serial) and settled and all(row["reached"] for row in below),
            "state": entry.state,
            "serial": here,
            "here": reaches(here, serial),
            "primary_serial": entry.newest(each.serial for each in entry.primaries.values() if each.serial is not None),
            "downstreams": below,
        }
