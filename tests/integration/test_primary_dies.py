"""The way to a primary breaks, wherever it can: nothing is published, the next one is asked, nothing is left over."""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from support.managed import CALM, managed
from support.own_server import LOOPBACK, until
from support.refresh_runs import PATIENT, Runs, descriptors, refusing
from support.scripted_primary import FIN, RESET, STALL, Act, Question, Versions, framed, scripted

from nameserver.config.model import Endpoint, Remote
from nameserver.errors import Reason
from nameserver.refresh.outcome import Failed, Transferred, UpToDate
from nameserver.server.zones import pull
from nameserver.wire import codes


def listing(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])


class Dying:
    """A primary with a new version that breaks each transfer off after `after` bytes of its stream."""

    def __init__(self, end: Act, after: int = 0, **good: object) -> None:
        self.good = Versions(6, **good)  # type: ignore[arg-type]
        self.end = end
        self.after = after
        self.as_axfr = False  # to IXFR too

    def stream(self, question: Question) -> bytes:
        if self.as_axfr:
            question = question._replace(held=None)
        return framed(*self.good.messages(question))

    def boundaries(self, question: Question) -> list[int]:
        """The offsets at which a message ends, but for the last."""
        if self.as_axfr:
            question = question._replace(held=None)
        sizes = [len(each) + 2 for each in self.good.messages(question)]
        return [sum(sizes[:number]) for number in range(len(sizes))]

    def __call__(self, question: Question) -> list[Act]:
        if question.kind == "SOA":
            return self.good(question)
        return [self.stream(question)[: self.after], self.end]


@ONE_LOOP
async def test_a_primary_that_resets_the_connection_anywhere_changes_nothing(tmp_path: Path) -> None:
    """200 times, in an AXFR and in the IXFR before it, after any number of bytes."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    asyncio.get_running_loop().set_debug(False)  # ten times as fast
    dying = Dying(RESET, hosts=40)
    async with scripted(Versions(5)) as first, scripted(refusing) as second, managed(tmp_path) as ours:
        runs = Runs(ours, first, second)
        await runs.load()
        first.answer = dying
        before, files = runs.content(), listing(tmp_path)
        await runs.run()
        open_before = descriptors()
        question = first.asked[-1]
        for number in range(200):
            dying.good.refuses_ixfr = number % 2 == 1
            whole = len(dying.stream(question._replace(kind="AXFR" if dying.good.refuses_ixfr else "IXFR", held=5)))
            dying.after = chance.randrange(whole)
            runs.refresher._no_ixfr.clear()
            second.asked.clear()
            outcome = await runs.run()
            assert isinstance(outcome, Failed), (dying.after, outcome)
            assert runs.reasons()[-1] is Reason.CLOSED_EARLY, (dying.after, outcome)
            assert second.kinds() == ["SOA/udp"], "the next primary was asked"
            assert runs.content() == before
        assert listing(tmp_path) == files
        assert descriptors() <= open_before
        first.answer = Versions(6)
        assert isinstance(await runs.run(), Transferred)


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "AXFR-style IXFR"])
@ONE_LOOP
async def test_a_connection_that_ends_between_two_messages_is_not_the_end_of_the_zone(
    tmp_path: Path, kind: str
) -> None:
    """Closed in order, exactly where a message ends; at each of these places."""
    dying = Dying(FIN, hosts=30, refuses_ixfr=kind == "AXFR")
    dying.as_axfr = kind == "AXFR-style IXFR"
    async with scripted(Versions(5)) as first, scripted(refusing) as second, managed(tmp_path) as ours:
        runs = Runs(ours, first, second)
        await runs.load()
        first.answer = dying
        before = runs.content()
        await runs.run()
        question = first.asked[-1]._replace(kind=kind.split()[-1], held=5)
        places = dying.boundaries(question)
        assert len(places) >= 3
        for dying.after in places:
            runs.refresher._no_ixfr.clear()
            second.asked.clear()
            outcome = await runs.run()
            assert isinstance(outcome, Failed), dying.after
            assert runs.reasons()[-1] is Reason.CLOSED_EARLY
            assert second.kinds() == ["SOA/udp"]
            assert runs.content() == before


STALLS = {
    "after the connection": lambda _stream: 0,
    "in a length": lambda _stream: 1,
    "after a length": lambda _stream: 2,
    "in a message": lambda stream: 2 + int.from_bytes(stream[:2], "big") // 2,
    "after a message": lambda stream: 2 + int.from_bytes(stream[:2], "big"),
    "one byte before the end": lambda stream: len(stream) - 1,
}


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
@pytest.mark.parametrize("place", STALLS)
@ONE_LOOP
async def test_a_primary_that_stalls_is_given_up_and_the_next_one_asked(tmp_path: Path, place: str, kind: str) -> None:
    """One time-out and no more before that."""
    dying = Dying(STALL, hosts=20, refuses_ixfr=kind == "AXFR")
    async with scripted(Versions(5)) as first, scripted(refusing) as second, managed(tmp_path) as ours:
        runs = Runs(ours, first, second)
        await runs.load()
        before = runs.content()
        first.answer = dying
        dying.after = STALLS[place](dying.stream(first.asked[0]._replace(kind=kind, held=5)))
        if kind == "AXFR":
            runs.refresher._no_ixfr["p0"] = float("inf")
        first.asked.clear()
        runs.refresher.kept.close()  # one of these is asked for once more when it falls silent
        transfers_before_second: list[list[str]] = []

        def asked(question: Question) -> Sequence[Act]:
            transfers_before_second.append(first.kinds())
            return refusing(question)

        second.answer = asked
        runs.zone = replace(runs.zone, pull=replace(PATIENT, idle_timeout=0.2))
        assert isinstance(await runs.run(), Failed)
        assert runs.reasons()[0] is Reason.IDLE_TIMEOUT
        assert transfers_before_second[0] == ["SOA/udp", f"{kind}/tcp"]
        assert runs.content() == before


async def test_what_trickles_in_byte_by_byte_is_given_up(tmp_path: Path) -> None:
    """Byte after byte the connection is never idle; each message has to be whole in time all the same."""

    def trickle(question: Question) -> Iterator[Act]:
        if question.kind == "SOA":
            yield from Versions(6)(question)
            return
        for byte in framed(*Versions(6, hosts=40, refuses_ixfr=False).messages(question._replace(held=None))):
            yield bytes((byte,))
            yield 0.01

    async with scripted(Versions(5)) as first, managed(tmp_path) as ours:
        runs = Runs(ours, first)
        await runs.load()
        before = runs.content()
        first.answer = trickle
        runs.zone = replace(runs.zone, pull=replace(PATIENT, idle_timeout=0.3))
        outcome = await runs.run()
        assert isinstance(outcome, Failed) and outcome.reason is Reason.IDLE_TIMEOUT
        assert runs.content() == before


@contextmanager
def black_hole(family: socket.AddressFamily = socket.AF_INET) -> Iterator[Endpoint]:
    """An address whose TCP connections never come about, and where nobody answers UDP: as if packets were dropped."""
    host = LOOPBACK if family is socket.AF_INET else "::1"
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listening.bind((host, 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        datagrams = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        datagrams.bind((host, port))
        full = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        full.connect((host, port))  # the queue of one is full: the kernel drops further SYNs
        yield Endpoint(host, port)


@ONE_LOOP
async def test_a_black_hole_is_left_after_the_connect_timeout_and_the_other_family_tried(tmp_path: Path) -> None:
    async with scripted(Versions(5)) as good, managed(tmp_path) as ours:
        with black_hole(socket.AF_INET6) as hole, black_hole() as other_hole:
            short = replace(PATIENT, connect_timeout=1.0, udp_timeout=0.2)
            runs = Runs(ours, Remote("both", (hole, good.endpoint)), pull=short)
            await runs.load()
            assert [(event.address, event.reason) for event in runs.events] == [
                (str(hole), Reason.CONNECT_TIMEOUT),
                (str(good.endpoint), None),
            ]
            runs.zone = replace(runs.zone, pull=PATIENT)
            assert isinstance(await runs.run(), UpToDate)
            assert good.kinds()[-1] == "SOA/udp", "the one that answers is asked first now"
            nowhere = Runs(ours, Remote("nowhere", (hole, other_hole)), pull=short)
            outcome = await nowhere.run()
            assert isinstance(outcome, Failed) and outcome.reason is Reason.CONNECT_TIMEOUT
            checks = {key: count for key, count in ours.tally.soa_checks.items() if key[0] == "nowhere"}
            assert checks == {("nowhere", "failed", "connect-timeout"): 4}, "by UDP and TCP, in both families"


# --- many zones of one primary ---------------------------------------------------------------------------------------


def stalled(question: Question) -> list[Act]:
    """Connections are taken, and nothing is ever answered."""
    return [] if question.transport == "udp" else [STALL]


async def test_twenty_zones_of_a_stalled_primary_do_not_hold_up_the_one_of_a_good_primary(tmp_path: Path) -> None:
    names = [f"zone-{number}.example" for number in range(20)]
    async with scripted(stalled) as bad, scripted(Versions(5)) as good, managed(tmp_path) as ours:
        zones = [bad.zone(name, pull=PATIENT, timers=CALM) for name in names]
        other = good.zone("good.example", pull=PATIENT, timers=CALM, primaries=(good.remote("good"),))
        await ours.start(*zones, other)
        await until(lambda: ours.serial("good.example") == 5)
        assert not any(ours.entry(name).tried for name in names), "before any of them was given up"
        await until(lambda: bad.open == 5)
        assert (ours.zones.transferring, ours.zones.waiting) == (5, 15)


@ONE_LOOP
async def test_once_one_zone_has_found_its_primary_stalled_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    """At most one more asks while they are told; and whoever has another primary is served by that."""
    names = [f"zone-{number}.example" for number in range(20)]
    async with scripted(stalled) as bad, scripted(Versions(5)) as good, managed(tmp_path) as ours:
        both = (bad.remote("bad"), good.remote("good"))
        asyncio.get_running_loop().set_debug(False)
        short = replace(PATIENT, idle_timeout=1.5)
        zones = [bad.zone(name, pull=short, timers=CALM, primaries=both[:1]) for name in names]
        served = [replace(zone, primaries=both) for zone in zones[10:]]
        await ours.start(*zones[:10], *served)
        await until(lambda: all(ours.entry(name).tried for name in names), 30)
        assert [ours.serial(name) for name in names] == [None] * 10 + [5] * 10
        assert len(bad.asked) <= 7
        assert {ours.entry(name).trouble.reason for name in names[:10]} == {Reason.IDLE_TIMEOUT}
        assert sum("not asked again: silent since" in ours.entry(name).trouble.detail for name in names[:10]) > 3


# --- the SOA question ------------------------------------------------------------------------------------------------


async def check(tmp_path: Path, answer, *, tries: int = 3, udp_timeout: float = 10.0):
    """A zone is held at 5; then one run against a primary that answers so. Outcome, questions, reasons counted."""
    async with scripted(Versions(5)) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary, pull=replace(PATIENT, udp_tries=tries, udp_timeout=udp_timeout))
        await runs.load()
        primary.asked.clear()
        ours.tally.soa_checks.clear()
        primary.answer = answer
        outcome = await runs.run()
        reasons = [reason for (_, _, reason), count in ours.tally.soa_checks.items() for _ in range(count) if reason]
        return outcome, primary, reasons


async def test_a_question_that_is_lost_is_asked_three_times_and_then_over_tcp(tmp_path: Path) -> None:
    good = Versions(5)
    outcome, primary, reasons = await check(
        tmp_path, lambda question: [] if question.transport == "udp" else good(question), udp_timeout=0.1
    )
    assert isinstance(outcome, UpToDate)
    assert primary.kinds() == ["SOA/udp"] * 3 + ["SOA/tcp"]
    assert reasons == [Reason.CONNECT_TIMEOUT]
    assert len({question.client for question in primary.asked[:3]}) == 3, "each from a port of its own"


async def test_an_answer_that_is_cut_is_asked_for_over_tcp(tmp_path: Path) -> None:
    good = Versions(5)

    def answer(question: Question) -> list[Act]:
        if question.transport == "udp":
            return [question.message(flags=codes.QR | codes.AA | codes.TC)]
        return good(question)

    outcome, primary, reasons = await check(tmp_path, answer)
    assert isinstance(outcome, UpToDate)
    assert (primary.kinds(), reasons) == (["SOA/udp", "SOA/tcp"], [Reason.SHORT_MESSAGE])


async def test_answers_that_are_not_ours_are_passed_over_until_the_right_one_comes(tmp_path: Path) -> None:
    """Garbage, another id, another question, QR=0, and an answer from another port; then the right one."""
    good = Versions(5)
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def answer(question: Question) -> list[Act]:
        (right,) = good.messages(question)
        (wrong,) = Versions(99).messages(question)
        other_question = question._replace(wire=b"\3www" + question.wire)
        elsewhere.sendto(wrong, question.client)
        return [
            b"",
            b"garbage",
            bytes(64),
            question.message(flags=0),
            question._replace(id=question.id ^ 1).message(flags=codes.QR | codes.AA),
            *Versions(99).messages(question._replace(id=question.id ^ 0x100)),
            *Versions(99).messages(other_question._replace(zone=question.zone)),
            right[:-1],
            right,
        ]

    outcome, primary, reasons = await check(tmp_path, answer, tries=1)
    elsewhere.close()
    assert isinstance(outcome, UpToDate) and outcome.serial == 5
    assert (primary.kinds(), reasons) == (["SOA/udp"], [])


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [
        (codes.REFUSED, Reason.REFUSED),
        (codes.NOTAUTH, Reason.NOTAUTH_ZONE),
        (codes.SERVFAIL, Reason.SERVFAIL),
        (codes.NXDOMAIN, Reason.NXDOMAIN),
    ],
)
async def test_a_primary_that_says_no_is_not_asked_for_a_transfer(tmp_path: Path, rcode: int, reason: Reason) -> None:
    """Each no has a reason of its own; the next primary is asked."""
    async with scripted(Versions(5)) as first, scripted(Versions(6)) as second, managed(tmp_path) as ours:
        runs = Runs(ours, first, second)
        await runs.load()
        first.asked.clear()
        first.answer = lambda question: [question.message(flags=codes.QR, rcode=rcode)]
        assert isinstance(await runs.run(), Transferred)
        assert first.kinds() == ["SOA/udp"]
        assert second.kinds() == ["SOA/udp", "IXFR/tcp"]
        assert ours.tally.soa_checks["p0", "failed", reason] == 1


@pytest.mark.parametrize("rcode", [codes.FORMERR, codes.NOTIMP, codes.BADVERS])
async def test_a_primary_that_does_not_know_edns_is_asked_without_it_from_then_on(tmp_path: Path, rcode: int) -> None:
    good = Versions(5)

    def answer(question: Question) -> list[Act]:
        if not question.edns:
            return good(question)
        opt = b"\0\0\x29\x04\xd0" + bytes((rcode >> 4, 0, 0, 0, 0, 0))
        refused = bytearray(question.message(flags=codes.QR, rcode=rcode & 15, tail=opt if rcode > 15 else b""))
        refused[11] = rcode > 15
        return [bytes(refused) if question.transport == "udp" else framed(bytes(refused))]

    async with scripted(answer) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        assert [question.edns for question in primary.asked] == [True, False]
        primary.asked.clear()
        good.serial = 6
        assert isinstance(await runs.run(), Transferred)
        assert [(question.kind, question.edns) for question in primary.asked] == [("SOA", False), ("IXFR", False)]
        # and with nothing but SOA questions to learn it by
        other = Runs(ours, primary)
        primary.asked.clear()
        for _ in range(2):
            assert isinstance(await other.run(), UpToDate)
        assert [question.edns for question in primary.asked] == [True, False, False]


# --- several primaries -----------------------------------------------------------------------------------------------


async def test_of_three_primaries_one_down_and_one_lying_the_honest_one_serves_and_stays(tmp_path: Path) -> None:
    """They hold 5, 9 and 7: the first is down, the second shows 9 and sends 5. It is 7, and 7 again."""
    lying = Versions(9)
    old = Versions(5)

    def lie(question: Question) -> list[Act]:
        return (lying if question.kind == "SOA" else old)(question)

    async with (
        scripted(Versions(5)) as old_primary,
        scripted(lie) as liar,
        scripted(Versions(7)) as honest,
        managed(tmp_path) as ours,
    ):
        await Runs(ours, old_primary).load()
        runs = Runs(ours, Remote("down", (Endpoint(LOOPBACK, 1),)), liar, honest)
        outcome = await runs.run()
        assert isinstance(outcome, Transferred) and outcome.serial == 7
        served = runs.content()
        for _ in range(3):
            outcome = await runs.run()
            assert isinstance(outcome, UpToDate) and outcome.serial == 7
            assert outcome.missed is not None and outcome.missed.reason is Reason.SERIAL_BACKWARDS
            assert runs.content() == served


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_ids_and_ports_of_questions_cannot_be_guessed() -> None:
    """Ids of all values alike; over UDP each question from another port."""
    async with scripted(Versions(5)) as primary:
        config = primary.zone("example.com", pull=PATIENT)
        peer = pull.Peer(config.primaries[0], config.primaries[0].addresses[0], None)
        for _ in range(300):
            await pull.soa_over_udp(peer, config, config.pull)
        ports = [question.client[1] for question in primary.asked]
        assert len(set(ports)) > 280, "a few may come twice by chance"
        assert sum(abs(later - earlier) <= 4 for earlier, later in pairwise(ports)) < 30, "they do not count up"
