"""Everything that can be measured about a move, each as the report of its own command: what the gates are made of.

Nothing is kept between two measurements: a gate is measured when it is asked, never assumed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import dns.name
import dns.rdatatype

from nameserver.config.model import Endpoint, PullLimits
from nameserver.errors import Reason, TransferError
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.nameservers import Target
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import CODE_ENDLESS, STEP_ENDLESS, Endless, NotFound
from nameserver.migrate.asking.zone_stream import ZoneStream
from nameserver.migrate.checks import (
    check,
    children,
    delegation,
    dnssec,
    exposure,
    inventory,
    parity,
    propagation,
    serials,
)
from nameserver.migrate.checks import ttl as ttls
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.checks.sides import Source, Taker
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.checks.steering import TIMES
from nameserver.migrate.checks.unavailable import unavailable
from nameserver.migrate.report import Level, Report
from nameserver.wire import names


class Watcher:
    """Is told how far the measurements have come. This one keeps it to itself."""

    def stage(self, name: str, number: int, total: int) -> None:
        """The measurement `name` begins, as the `number`th of `total`."""

    def __call__(self, part: str, count: int) -> None:
        """So many records of a side have come, or questions been answered."""


@dataclass(slots=True)
class Survey:
    """What measures one move. `old` and `new`: every address of each side; the first is transferred from.

    `old` may be empty once that side is gone: what is about both is then about the new one alone.
    """

    asker: Asker
    tree: Tree
    zone: dns.name.Name
    old: tuple[Source, ...]
    new: tuple[Source, ...]
    target_ttl: int = 300
    floor: float = ttls.FLOOR
    ignore_dnssec: bool = False
    plan: str = ""  # "", "unsign" or "multi-signer"
    since: Mapping[str, float] = field(default_factory=dict)  # as for `dnssec.Plan`
    resolvers: tuple[Endpoint, ...] = ()
    limits: PullLimits = field(default_factory=PullLimits)
    watcher: Watcher = field(default_factory=Watcher)

    @property
    def wire(self) -> bytes:
        """The zone's folded wire name."""
        return names.fold(self.zone.to_wire() or b"")

    def _text(self) -> str:
        return self.zone.to_text(omit_final_dot=True)

    def targets(self, *wanted: str) -> list[Target]:
        """Every address of both sides, or of those `wanted`: "old", "new"."""
        sides = {"old": self.old, "new": self.new}
        return [
            Target(f"{name} {source.text}", source.endpoint, "given")
            for name in wanted or sides
            for source in sides[name]
        ]

    async def path(self) -> Report:
        """Can the zone be had from each address of the new side, over TLS where the configuration says so?"""
        key = self.new[0].key
        measured = [
            await check.measure(
                self.asker,
                self.zone,
                source.over_tls.addresses[0] if source.over_tls else source.endpoint,
                source.key,
                self.limits,
                source.over_tls,
            )
            for source in self.new
        ]
        return check.judge(self.zone, measured, key)

    async def parity(self) -> Report:
        """Do all servers of both sides hold the same? Without an old side, those of the new one: two at least."""
        taker = Taker(
            self.asker, self.wire, limits=self.limits, ignore_dnssec=self.ignore_dnssec, progress=self.watcher
        )
        old, new = (self.old, self.new) if self.old else (self.new[:1], self.new[1:])
        return await parity.measure(taker, old, new)

    async def serials(self, side: str = "new") -> Report:
        """Does every address of a side serve the same version?"""
        return serials.judge(self.zone, await serials.measure(self.asker, self.zone, self.targets(side)))

    async def inventory(self) -> Report:
        """What the old side holds that a move has to take care of."""
        try:
            stream = await self._zone_of(self.old[0])
        except TransferError as error:
            return unavailable("inventory", self._text(), str(self.old[0].endpoint), error)
        today = datetime.now(UTC).strftime("%Y%m%d")
        contents = take_stock(stream)
        report = inventory.judge(stream, contents, self.old[0].text, today)
        if contents.delegations:
            children.judge(report, await children.measure(self.tree, contents.delegations, contents.addresses))
        return report

    async def ttl(self, baseline: Snapshot | None, lowered_at: float | None, now: float) -> Report:
        """Are the TTLs low at the old side, and have the old ones run out?"""
        try:
            stream = await self._zone_of(self.old[0])
        except TransferError as error:
            return unavailable("ttl", self._text(), str(self.old[0].endpoint), error)
        return ttls.judge(
            stream,
            take_stock(stream),
            self.target_ttl,
            baseline=baseline,
            lowered_at=lowered_at,
            now=now,
            floor=self.floor,
        )

    async def exposure(self) -> Report:
        """Does anybody hand out the zone without a key?"""
        targets = self.targets()
        return exposure.judge(self.zone, await exposure.measure(self.asker, self.zone, targets))

    async def delegation(self, expected: frozenset[str] | None = None, *, overlap: bool = False) -> Report:
        """Is the zone delegated to whom it should be, at every server of the parent? `overlap`: as for the judge."""
        given = [(target.label, target.endpoint) for target in self.targets() if expected is None]
        try:
            seen = await delegation.measure(self.tree, self.zone, given)
        except NotFound as error:
            return self.unfound("delegation", error)
        return delegation.judge(self.zone, seen, expected, overlap=overlap)

    async def overlap(self, wanted: frozenset[str] = frozenset()) -> Report:
        """Is the zone's own NS set the same at every address of both sides, with what the parent names and `wanted`?

        `wanted`: the new side's names, folded, without final dots.
        """
        report = Report("overlap", self._text())
        question = Question(self.zone, dns.rdatatype.NS)
        targets = self.targets()
        outcomes = await asyncio.gather(*(self.asker.ask(question, target.endpoint) for target in targets))
        sets: dict[str, frozenset[str]] = {}
        for target, outcome in zip(targets, outcomes, strict=True):
            where = f"{target.label} ({target.endpoint})"  # a name may stand for several addresses
            spoken = isinstance(outcome, Reply) and outcome.authoritative
            found = outcome.answer(self.zone, dns.rdatatype.NS) if isinstance(outcome, Reply) and spoken else None
            if found is None:
                report.add(Level.FAULT, "server-silent", f"{where} does not answer with the zone's NS")
                continue
            sets[where] = frozenset(record.target.canonicalize().to_text(omit_final_dot=True) for record in found)
        if len(set(sets.values())) > 1:
            told = "; ".join(f"{label}: {', '.join(sorted(each))}" for label, each in sorted(sets.items()))
            step = "Put the servers of both sides into the NS set at the apex, on both sides."
            report.add(Level.FAULT, "ns-mismatch", f"the NS sets differ: {told}", step)
        if sets and (missing := wanted - frozenset.intersection(*sets.values())):
            text = f"the zone's NS set does not name {', '.join(sorted(missing))} at both sides"
            report.add(Level.FAULT, "ns-mismatch", text, "Add the new side's servers to the NS set, on both sides.")
        await self._hold_against_parent(report, set(sets.values()))
        report.facts = {label: sorted(each) for label, each in sets.items()}
        report.unreachable = not sets
        report.verdict = (
            "Both sides name the same servers." if report.exit_code == 0 else "The sides do not overlap yet."
        )
        return report

    async def _hold_against_parent(self, report: Report, sets: set[frozenset[str]]) -> None:
        try:
            seen = await delegation.measure(self.tree, self.zone, only_parent=True)
        except NotFound as error:
            report.add(Level.FAULT, "parent-silent", str(error))
            return
        if seen.silent:
            report.add(Level.FAULT, "parent-silent", seen.silent, "Ask again.")
        named = frozenset().union(*(view.ns for view in seen.parents))
        for each in sets:
            if missing := named - each:
                text = f"the parent names {', '.join(sorted(missing))}, the zone does not"
                report.add(Level.FAULT, "ns-mismatch", text, "Add them to the NS set at the apex.")

    async def dnssec(self, ds_gone_since: float | None, old_ds_ttl: int, now: float) -> Report:
        """Does the chain of trust hold at each side and new server, and is the plan's part of it done?"""
        since = self.since if ds_gone_since is None else {**self.since, "ds-gone": ds_gone_since}
        plan = dnssec.Plan(self.plan, since, old_ds_ttl)
        old, new = ([source.endpoint for source in side] for side in (self.old, self.new))
        try:
            return await dnssec.examine_sides(self.tree, self.zone, old, new, now, plan)
        except NotFound as error:
            return self.unfound("dnssec", error)

    async def resolved(self, expected: Sequence[str]) -> Report:
        """Do the resolvers return the servers that are expected?"""
        texts = [f"{name}." for name in expected]
        sights = await propagation.measure(self.asker, self.zone, dns.rdatatype.NS, self.resolvers, TIMES)
        return propagation.judge(self.zone, dns.rdatatype.NS, sights, expected=texts)

    async def validated(self) -> Report:
        """Do resolvers find the zone good? One at least has to say so (AD), and none may find it bogus."""
        sights = await propagation.measure(self.asker, self.zone, dns.rdatatype.SOA, self.resolvers)
        return propagation.judge_validation(self.zone, sights)

    async def lowered_at_resolvers(self, wanted: Sequence[tuple[str, str]]) -> Report:
        """Have the resolvers forgotten the TTLs of before? `wanted`: (owner, type) of what they are asked for."""
        questions = [(dns.name.from_text(owner), dns.rdatatype.from_text(kind)) for owner, kind in wanted]
        sights = await asyncio.gather(
            *(propagation.measure(self.asker, name, rdtype, self.resolvers, TIMES) for name, rdtype in questions)
        )
        return propagation.judge_ttls(self.zone, dict(zip(questions, sights, strict=True)), self.target_ttl)

    async def same_at_resolvers(self, kind: str) -> Report:
        """Do the resolvers return what the new side has at the apex?"""
        rdtype = dns.rdatatype.from_text(kind)
        outcome = await self.asker.ask(Question(self.zone, rdtype), self.new[0].endpoint)
        found = outcome.answer(self.zone, rdtype) if isinstance(outcome, Reply) else None
        sights = await propagation.measure(self.asker, self.zone, rdtype, self.resolvers, TIMES)
        if not isinstance(outcome, Reply) or not outcome.authoritative:
            error = TransferError(Reason.NOT_AUTHORITATIVE, "the new side does not answer for the zone")
            if not isinstance(outcome, Reply):
                error = TransferError(outcome.reason, f"the new side does not answer for the zone: {outcome.detail}")
            return unavailable("propagation", self._text(), str(self.new[0].endpoint), error)
        if found is None:  # no such records: then nowhere
            sights = [replace(sight, problem="") if sight.problem == "no data" else sight for sight in sights]
        expected = [record.to_text() for record in found or ()]
        return propagation.judge(self.zone, rdtype, sights, expected=expected)

    async def _zone_of(self, source: Source) -> ZoneStream:
        return await source.fetch(self.asker, self.wire, self.limits, partial(self.watcher, source.name))

    def unfound(self, command: str, error: NotFound) -> Report:
        """The report of a measurement that found no server of the parent."""
        report = Report(command, self._text())
        if isinstance(error, Endless):
            report.add(Level.FAULT, CODE_ENDLESS, str(error), STEP_ENDLESS)
        else:
            report.add(Level.FAULT, "parent-silent", str(error), "Check the way to the parent's servers.")
        report.unreachable = True
        report.verdict = "The parent cannot be reached."
        return report
