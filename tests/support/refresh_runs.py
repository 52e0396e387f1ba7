"""Refresh runs of one zone against scripted primaries, without zone manager or workers: what a run leaves behind."""

import os
from collections.abc import Sequence
from dataclasses import replace

from support.managed import CALM, HASTY, Managed
from support.scripted_primary import Act, Question, ScriptedPrimary, sent
from support.stored import content

from nameserver.config.model import PullLimits, Remote, ZoneConfig
from nameserver.refresh.outcome import Outcome, Transferred
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.telemetry.events import TransferEvent
from nameserver.telemetry.status import PrimaryStatus
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names

ZONE = "example.com"
NAME = names.from_text(ZONE)
# Where a test is not about time-outs, a slow machine must not bring one about.
PATIENT = replace(HASTY, idle_timeout=20.0, connect_timeout=20.0, udp_timeout=10.0)


class Runs:
    """One run after the other. `primaries` are scripted ones, or remotes as they are."""

    def __init__(
        self,
        ours: Managed,
        *primaries: ScriptedPrimary | Remote,
        pull: PullLimits = PATIENT,
        limits: TransferLimits | None = None,
    ) -> None:
        self.ours = ours
        remotes = tuple(
            each if isinstance(each, Remote) else each.remote(f"p{number}") for number, each in enumerate(primaries)
        )
        self.zone = ZoneConfig(NAME, ZONE, primaries=remotes, pull=pull, timers=CALM, limits=limits or TransferLimits())
        self.refresher = Refresher(ours.server, ours.publisher, ours.tally)
        self.primaries: dict[str, PrimaryStatus] = primary_statuses(self.zone)
        self.events: list[TransferEvent] = []  # of the last run

    async def run(self, **more) -> Outcome:
        """One run; every place is given back."""
        self.events = []
        work = ZoneRun(self.zone, self.primaries, on_transfer=self.events.append, **more)
        outcome = await self.refresher.run(work)
        assert (self.refresher.slots.transferring, self.refresher.slots.waiting) == (0, 0)
        return outcome

    async def load(self) -> Outcome:
        """The first run, which brings the zone."""
        outcome = await self.run(accept_lower=True)
        assert isinstance(outcome, Transferred), outcome
        return outcome

    def reasons(self) -> list[str | None]:
        """Of the last run's transfers, in order; None for one that brought a version."""
        return [event.reason for event in self.events]

    def content(self) -> tuple[int, int, dict[bytes, bytes]]:
        """Serial, generation and every node, as a reader of the store finds them."""
        stored = self.ours.publisher.stored[NAME]
        nodes = content(self.ours.store.path, NAME)
        assert nodes is not None
        return stored.serial, stored.generation, nodes


def refusing(question: Question) -> Sequence[Act]:
    """A primary that is there, and does not have the zone."""
    return sent(question, [question.message(flags=codes.QR, rcode=codes.REFUSED)])


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))
