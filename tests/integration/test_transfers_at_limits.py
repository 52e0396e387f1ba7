"""Zones and changes beyond measure from a primary: each ends at its limit, and the version in hand goes on."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bad_primary import Zone
from support.managed import managed
from support.own_server import until
from support.refresh_runs import NAME, PATIENT, ZONE, Runs
from support.scripted_primary import Act, Question, Versions, framed, parted, scripted, sent
from support.transfer_messages import pack

from nameserver.errors import Reason
from nameserver.refresh.outcome import Failed, Transferred
from nameserver.refresh.timers import TimerLimits
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.rrset import Record

ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
APEX_OF_ZONE = Zone(ZONE)


def endless(question: Question) -> Iterator[Act]:
    """A new version that goes on for ever, to AXFR and to IXFR."""
    zone = APEX_OF_ZONE
    if question.kind == "SOA":
        yield question.message(zone.soa(6)) if question.transport == "udp" else framed(question.message(zone.soa(6)))
        return
    yield framed(question.message(zone.soa(6), *zone.body(6)))
    host = zone.rr("host 300 A 192.0.2.1")
    for number in range(10**9):
        owners = (b"\x0ahost%06x" % (100 * number + each & 0xFFFFFF) + zone.wire for each in range(100))
        records = (packed(host._replace(owner=owner)) for owner in owners)
        yield framed(question.message(count=100, tail=b"".join(records)))


@ONE_LOOP
async def test_a_primary_that_sends_for_ever_changes_nothing_and_is_asked_again_after_a_while(tmp_path: Path) -> None:
    """Not in another way at once, but on the retry timer, and later each time."""
    limits = TransferLimits(max_bytes=100_000)
    async with scripted(Versions(5)) as primary, managed(tmp_path) as ours:
        timers = TimerLimits(min_retry=100, min_refresh=1000, jitter=0.0)
        await ours.start(primary.zone(ZONE, pull=PATIENT, limits=limits, timers=timers))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        primary.answer = endless
        primary.asked.clear()
        machine = ours.entry(ZONE).machine
        assert machine is not None
        waits = []
        for _ in range(3):
            ours.zones.refresh(ours.entry(ZONE))
            await ours.idle(ZONE)
            seen = machine.snapshot()
            assert (ours.serial(ZONE), ours.entry(ZONE).trouble.reason) == (5, Reason.LIMIT_BYTES)
            assert seen.next_refresh is not None
            waits.append(seen.next_refresh)
        assert primary.kinds() == ["SOA/udp", "IXFR/tcp"] * 3, "no AXFR for what is too large"
        first, second, third = waits
        assert 99 < second - first < 200 and 199 < third - second < 300, "100 s, then 200 s, then 400 s"
        assert ours.tally.transfers["in", "ixfr", "axfr", "failed", Reason.LIMIT_BYTES] == 3


def tiny_steps(question: Question) -> Iterator[Act]:
    """Differences without end to IXFR: each step deletes nothing and adds a record."""
    zone, last = APEX_OF_ZONE, 2**30
    good = Versions(last)
    if question.kind != "IXFR":
        yield from good(question)
        return
    yield framed(question.message(zone.soa(last), zone.soa(5)))
    soa, host = zone.soa(0), zone.rr("host 300 A 192.0.2.1")
    for serial in range(6, last):
        at = soa._replace(rdata=soa.rdata[:-20] + struct.pack("!I", serial) + soa.rdata[-16:])
        yield framed(question.message(at, host._replace(owner=b"\x0ahost%06x" % (serial & 0xFFFFFF) + zone.wire), at))


@ONE_LOOP
async def test_differences_that_never_end_are_given_up_for_the_whole_zone(tmp_path: Path) -> None:
    """At twice the size of what they change, or a megabyte where that is less."""
    async with scripted(Versions(5)) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        primary.answer = tiny_steps
        outcome = await runs.run()
        assert isinstance(outcome, Transferred) and outcome.serial == 2**30
        assert runs.reasons() == [Reason.IXFR_TOO_BIG, None]
        assert runs.events[0].bytes < 1.1 * 1024 * 1024


def packed(record: Record) -> bytes:
    """A record of the question's zone, compressed."""
    owner, apex = record.owner, APEX_OF_ZONE.wire
    if record.type == codes.SOA and record.rdata.startswith(apex + apex):
        record = record._replace(rdata=b"\xc0\x0c" * 2 + record.rdata[-20:])
    return owner[: -len(apex)] + b"\xc0\x0c" + pack(record)[len(owner) :]


def small_soa(serial: int) -> Record:
    """With the apex for its names, which can be compressed."""
    apex = APEX_OF_ZONE.wire
    return Record(apex, codes.SOA, codes.IN, 3600, apex + apex + struct.pack("!5I", serial, 3600, 600, 86400, 300))


def compact(question: Question, records: list[Record], each: int = 1000) -> list[bytes]:
    """Records in messages."""
    return [
        question.message(count=len(some), tail=b"".join(packed(record) for record in some))
        for some in (records[start : start + each] for start in range(0, len(records), each))
    ]


def crowd(rdtype: int, count: int) -> list[Record]:
    """So many addresses at one name, or so many types."""
    owner = b"\x05crowd" + APEX_OF_ZONE.wire
    if rdtype:
        return [Record(owner, rdtype, codes.IN, 300, struct.pack("!I", number)) for number in range(count)]
    return [Record(owner, 1000 + number, codes.IN, 300, b"x") for number in range(count)]


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
@pytest.mark.parametrize(
    ("rdtype", "too_many", "enough", "reason"),
    [(codes.A, 65_000, 2_000, Reason.LIMIT_RRSET), (0, 5_000, 100, Reason.LIMIT_TYPES)],
)
@ONE_LOOP
async def test_a_crowd_at_one_name_is_let_in_up_to_its_limit(
    tmp_path: Path, kind: str, rdtype: int, too_many: int, enough: int, reason: Reason
) -> None:
    """65,000 addresses in one RRset, 5,000 types at one name; with the limits as they are by default."""
    size = [too_many]

    def answer(question: Question) -> list[Act]:
        zone = APEX_OF_ZONE
        if question.kind == "SOA":
            return Versions(6)(question)
        more = crowd(rdtype, size[0])
        *most, end = zone.difference(5, 6) if question.kind == "IXFR" else zone.whole(6)
        return [framed(*compact(question, [*most, *more, end]))]

    async with scripted(Versions(5)) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        before = runs.content()
        runs.refresher._no_ixfr = {} if kind == "IXFR" else {"p0": float("inf")}
        primary.answer = answer
        outcome = await runs.run()
        assert isinstance(outcome, Failed) and outcome.reason in (reason, Reason.IXFR_TOO_BIG)
        assert runs.content() == before
        size[0] = enough
        outcome = await runs.run()
        assert isinstance(outcome, Transferred), outcome
        assert ours.publisher.stored[NAME].records == 7 + enough


@ONE_LOOP
async def test_after_ten_thousand_steps_of_which_the_last_does_not_fit_the_whole_zone_is_as_the_primary_has_it(
    tmp_path: Path,
) -> None:
    """Nothing of the steps stays behind."""
    steps, last = 10_000, 10_005

    def answer(question: Question) -> list[Act]:
        zone = APEX_OF_ZONE
        serial = 5 if not held else last
        if question.kind == "SOA":
            return sent(question, [question.message(small_soa(serial))])
        if question.kind == "AXFR":
            return [framed(*parted(question, [small_soa(serial), *zone.body(serial), small_soa(serial)]))]
        at = [small_soa(serial) for serial in range(5, last + 1)]
        records = [at[-1]]
        for number in range(steps):
            host = Record(b"\x02%02x" % (number % 256) + zone.wire, codes.A, codes.IN, 300, struct.pack("!I", number))
            records += [at[number], at[number + 1], host]
        records[-2:-2] = [zone.rr("absent 300 A 192.0.2.9")]  # deleted by the last step
        return [framed(*compact(question, [*records, at[-1]]))]

    held: list[int] = []
    async with scripted(answer) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        held.append(5)
        assert isinstance(await runs.run(), Transferred)
        assert runs.reasons() == [Reason.IXFR_MISMATCH, None]
        assert runs.events[0].records > 3 * steps
        after = runs.content()[2]
    async with scripted(answer) as primary, managed(tmp_path / "fresh") as ours:
        fresh = Runs(ours, primary)
        await fresh.load()
        assert fresh.content()[2] == after


@ONE_LOOP
async def test_a_corrupt_transfer_does_not_hold_up_the_hundred_good_ones_after_it(tmp_path: Path) -> None:
    def corrupt(question: Question) -> list[Act]:
        zone = APEX_OF_ZONE
        if question.kind == "SOA":
            return Versions(6)(question)
        soa, *rest = zone.whole(6)
        broken = zone.rr("short 300 A 192.0.2.8")._replace(rdata=b"\xc0\0\2")
        return [framed(*parted(question, [soa, broken, *rest]))]

    async with scripted(Versions(5)) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        primary.answer = corrupt
        outcome = await runs.run()
        assert isinstance(outcome, Failed) and outcome.reason is Reason.MALFORMED
        for serial in range(6, 106):
            primary.answer = Versions(serial, refuses_ixfr=serial % 2 == 0)
            runs.refresher._no_ixfr.clear()
            outcome = await runs.run()
            assert isinstance(outcome, Transferred) and outcome.serial == serial
