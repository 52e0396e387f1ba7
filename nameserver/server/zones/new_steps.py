"""What a new version adds to its zone's history: the steps that came, or the difference to what is stored.

Called in the store's thread, right before the version is committed, and written in the same transaction. Where there is
no difference to be had the history ends, and clients with an earlier version get the whole zone: that costs them time,
and never fails a version. Why is in the log.
"""

import logging
import time
from contextlib import closing

from nameserver.config.model import ZoneConfig
from nameserver.errors import StoreError, ZoneError
from nameserver.store.database import Store
from nameserver.store.history import NewSteps
from nameserver.zone.builder import BuiltZone
from nameserver.zone.changes import Applied
from nameserver.zone.difference import difference, slices_of
from nameserver.zone.history import pack_changeset
from nameserver.zone.serial import newer

log = logging.getLogger("nameserver.history")


def steps_applied(zone: ZoneConfig, applied: Applied, apex: bytes) -> NewSteps | None:
    """The steps of an incremental transfer, as they took effect."""
    if not zone.history.max_changes:
        return None
    try:
        steps = [pack_changeset(step, apex) for step in applied.steps]
    except ZoneError as error:
        _tell_end(zone, applied.soa.serial, error.detail)
        return None
    return NewSteps(steps, zone.history, time.time())


def steps_to_whole(store: Store, zone: ZoneConfig, built: BuiltZone) -> NewSteps | None:
    """The step from the stored version to one that came whole, read against it slice by slice."""
    held = store.zone(zone.name)
    if held is None or not zone.history.max_changes:
        return None
    serial = built.soa.serial
    why, step = f"the difference to {held.serial} is larger than the zone, or than its history may be", None
    if not newer(serial, held.serial):
        why = f"it is not above {held.serial}"
    elif built.apex_as_received != held.apex_as_received:
        why = "the zone's name is spelled in another case"
    else:
        try:
            with closing(store.slices(zone.name)) as old:
                limit = min(zone.history.room(built.size), built.size)
                step = difference(old, slices_of(built.nodes), held.apex_as_received, limit)
        except (StoreError, ZoneError) as error:
            why = str(error)
    if step is None:
        _tell_end(zone, serial, why)
        return None
    return NewSteps([step], zone.history, time.time())


def _tell_end(zone: ZoneConfig, serial: int, why: str) -> None:
    log.info("zone %s: its history begins anew with serial %d: %s", zone.text, serial, why)
