"""`migrate check`: do NOTIFYs of a primary reach our daemon, and does it take them?

The daemon remembers the last NOTIFY from each address, allowed or not. Nobody but the primary can send one in its name,
so this looks at what came, or waits for one that is sent there meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from nameserver.errors import Reason
from nameserver.migrate.checks.check_step import Step
from nameserver.telemetry import words
from nameserver.telemetry.advice import Advice
from nameserver.telemetry.events import NotifyReceivedEvent, Outcome

NOTIFY = "NOTIFY from it"
LOOK_EVERY = 0.5  # seconds

_SILENT = Advice(
    "It tells us of no change, or its word is lost on the way: changes wait for the refresh timer.",
    "Have it notify our address (nameserver migrate primary-snippet shows how), and let UDP through from it to us.",
)
_NOT_YET = Advice("", "It may have had nothing to tell. --notify 60 waits for one, which is sent there meanwhile.")
_STRANGER = Advice(
    "A NOTIFY came from an address that is none of the primary's, and was turned away.",
    "If it is the primary, add the address to its remote here or to allow-notify, or have it send from the other one.",
)
_REFUSED = Advice(
    "Its NOTIFY gets here and is turned away.",
    "A remote with a key has to sign its NOTIFY with that key: give also-notify there the key, the same as here.",
)


async def measure(
    heard: Callable[[], Sequence[NotifyReceivedEvent]], hosts: Collection[str], wait: float, now: Callable[[], float]
) -> Step:
    """What came of NOTIFYs from `hosts`. `heard` asks the daemon and may block; what it raises is the caller's.

    With `wait` (seconds) only one that comes from now on counts, and is waited for.
    """
    began = now()
    until = time.monotonic() + wait
    while True:
        events = await asyncio.to_thread(heard)
        seen = [event for event in events if not wait or event.at >= began]
        step = _judge(seen, hosts, wait, now())
        came = step.words is _REFUSED or (step.reason is None and not step.unknown)
        if came or time.monotonic() >= until:
            return step
        await asyncio.sleep(LOOK_EVERY)


def _judge(events: Sequence[NotifyReceivedEvent], hosts: Collection[str], wait: float, now: float) -> Step:
    own = max((event for event in events if event.source in hosts), key=lambda event: event.at, default=None)
    if own is not None:
        serial = "" if own.serial is None else f", serial {own.serial}"
        signed = f", signed with {own.key}" if own.key else ", not signed"
        told = f"{words.moment(own.at, now)} from {own.source}{serial}{signed}"
        if own.outcome is not Outcome.REFUSED:
            return Step(NOTIFY, None, told)
        return Step(NOTIFY, own.reason or Reason.REFUSED, told, words=_REFUSED)
    strangers = sorted({event.source for event in events if event.outcome is Outcome.REFUSED})
    if strangers:
        return Step(NOTIFY, Reason.REFUSED, f"refused from {', '.join(strangers[:3])}", words=_STRANGER)
    if wait:
        return Step(NOTIFY, Reason.CONNECT_TIMEOUT, f"none came within {wait:g} s", words=_SILENT)
    return Step(NOTIFY, None, "none has come to our daemon so far", words=_NOT_YET, unknown=True)
