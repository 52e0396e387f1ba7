"""Zones that are transferred one after the other over one connection: what goes wrong with one is that one's alone."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from support.managed import HASTY
from support.own_server import until
from support.scripted_primary import FIN, RESET, STALL, Act, Question, ScriptedPrimary, Versions, framed, scripted

from nameserver.config.model import PullLimits
from nameserver.errors import Reason, TransferError
from nameserver.server.zones import kept_connections, pull
from nameserver.server.zones.kept_connections import KEPT_AT_MOST, LOSSES, KeptConnections
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire.tsig import StreamVerifier

GOOD = Versions()
ZONES = [f"zone-{number}.test" for number in range(10)]


class Client:
    """Transfers zones from a primary, with the connections that it keeps."""

    def __init__(self, primary: ScriptedPrimary, limits: PullLimits = HASTY) -> None:
        self.primary, self.limits = primary, limits
        self.kept = KeptConnections()

    async def transfer(self, name: str) -> Reason | int:
        """The serial that came, or why none did."""
        zone = self.primary.zone(name, pull=self.limits)

        def make(ident: int, verifier: StreamVerifier | None) -> InboundTransfer:
            return InboundTransfer(zone.name, TransferKind.AXFR, ident, None, TransferLimits(), verifier)

        try:
            inbound = await pull.transfer(self.peer, zone, TransferKind.AXFR, None, make, kept=self.kept)
        except TransferError as error:
            return error.reason
        result = inbound.result()
        assert isinstance(result, FullTransfer)
        return result.built.soa.serial

    async def transfer_all(self, zones: Sequence[str] = ZONES) -> list[Reason | int]:
        """One after the other; what is said to a connection that rests is heard before it is used again."""
        results = []
        for zone in zones:
            results.append(await self.transfer(zone))
            await asyncio.sleep(0.005)
        return results

    @property
    def peer(self) -> pull.Peer:
        remote = self.primary.remote()
        return pull.Peer(remote, remote.addresses[0], None)

    def connections(self) -> int:
        """How many were asked over."""
        return len({each.client for each in self.primary.asked})


def nth_on_its_connection(primary: ScriptedPrimary, question: Question) -> int:
    """1 for the first question over a connection."""
    return sum(each.client == question.client for each in primary.asked)


async def test_zones_one_after_the_other_share_a_connection_and_soa_checks_over_tcp_too() -> None:
    async with scripted(GOOD) as primary:
        client = Client(primary)
        assert await client.transfer_all() == [5] * len(ZONES)
        zone = primary.zone(ZONES[0])
        assert (await pull.soa_over_tcp(client.peer, zone, HASTY, client.kept)).serial == 5
        assert client.connections() == 1
        client.kept.close()
        await until(lambda: primary.open == 0)


async def test_zones_at_the_same_time_have_a_connection_each() -> None:
    async with scripted(GOOD) as primary:
        client = Client(primary)
        assert await asyncio.gather(*map(client.transfer, ZONES[:3])) == [5] * 3
        assert client.connections() == 3


async def test_another_source_address_is_another_connection() -> None:
    async with scripted(GOOD) as primary:
        client = Client(primary)
        await client.transfer(ZONES[0])
        elsewhere = replace(primary.remote(), source="127.0.0.9")
        zone = primary.zone(ZONES[0])
        peer = pull.Peer(elsewhere, elsewhere.addresses[0], None)
        await pull.soa_over_tcp(peer, zone, HASTY, client.kept)
        assert [each.client[0] for each in primary.asked] == ["127.0.0.1", "127.0.0.9"]


@pytest.mark.parametrize("pause", [0.0, 0.003])
@pytest.mark.parametrize("end", [FIN, RESET])
async def test_a_primary_that_closes_after_each_transfer_costs_no_zone_anything(end: Act, pause: float) -> None:
    async with scripted(lambda question: [*GOOD(question), 0.0, pause, end]) as primary:
        client = Client(primary)
        assert await client.transfer_all() == [5] * len(ZONES)
        assert [each.zone for each in primary.asked if each.kind == "AXFR"].count(ZONES[-1]) == 1
        assert client.connections() == len(ZONES)


@pytest.mark.parametrize("end", [FIN, RESET])
async def test_a_primary_that_hangs_up_on_the_second_question_is_asked_afresh_and_soon_only_so(end: Act) -> None:
    def answer(question: Question) -> list[Act]:
        return GOOD(question) if nth_on_its_connection(primary, question) == 1 else [end]

    async with scripted(answer) as primary:
        client = Client(primary)
        assert await client.transfer_all() == [5] * len(ZONES)
        assert len(primary.asked) == len(ZONES) + LOSSES, "so often for nothing"


async def test_a_primary_that_leaves_the_second_question_unanswered_is_waited_for_once() -> None:
    def answer(question: Question) -> list[Act]:
        return GOOD(question) if nth_on_its_connection(primary, question) == 1 else [STALL]

    async with scripted(answer) as primary:
        client = Client(primary, replace(HASTY, idle_timeout=0.2))
        assert await client.transfer_all() == [5] * len(ZONES)
        assert len(primary.asked) == len(ZONES) + 1


async def test_one_that_begins_to_answer_late_has_as_long_as_on_a_fresh_connection() -> None:
    """Its first octet in the time of a connection, the rest in the time of an answer."""

    def answer(question: Question) -> list[Act]:
        if nth_on_its_connection(primary, question) == 1:
            return GOOD(question)
        whole = framed(*GOOD.messages(question))
        return [whole[:1], 1.1, whole[1:]]

    async with scripted(answer) as primary:
        client = Client(primary, replace(HASTY, connect_timeout=1.0, idle_timeout=10.0))
        assert await client.transfer_all(ZONES[:2]) == [5] * 2
        assert client.connections() == 1


async def test_what_is_left_over_of_another_zone_is_not_taken_for_an_answer() -> None:
    """The tail of a reply, in front of the next one: asked for afresh, nothing of it is the next zone's fault."""

    def answer(question: Question) -> list[Act]:
        before = [each for each in primary.asked[:-1] if each.client == question.client]
        stale = [framed(*GOOD.messages(before[-1]))] if before else []
        return [*stale, *GOOD(question)]

    async with scripted(answer) as primary:
        client = Client(primary)
        assert await client.transfer_all() == [5] * len(ZONES)
        assert len(primary.asked) == len(ZONES) + LOSSES


async def test_words_that_nobody_asked_for_end_a_connection_that_rests() -> None:
    taken = False

    def answer(question: Question) -> Iterator[Act]:
        yield from GOOD(question)
        while not taken:
            yield 0.002
        yield framed(b"one more")

    async with scripted(answer) as primary:
        client = Client(primary)
        assert await client.transfer(ZONES[0]) == 5
        assert primary.open == 1
        taken = True
        await until(lambda: primary.open == 0)
        primary.answer = GOOD
        assert await client.transfer(ZONES[1]) == 5


BROKEN = {
    "refused": (lambda question: [framed(question.message(flags=0x8000, rcode=5))], Reason.REFUSED, 1),
    "not a message": (lambda _: [framed(b"junk")], Reason.SHORT_MESSAGE, 2),
    "another zone's reply": (lambda _: GOOD(_._replace(zone="b.test", wire=b"\1b\4test\0\0\xfc\0\1")), None, 2),
    "cut off": (lambda question: [framed(*GOOD.messages(question)[:1]), RESET], Reason.CLOSED_EARLY, 2),
    "no end": (lambda question: [framed(*GOOD.messages(question)[:1]), STALL], Reason.IDLE_TIMEOUT, 1),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_zone_that_fails_fails_alone_and_by_a_connection_of_its_own(case: str) -> None:
    """Zones before and after it come; where its failure may be the connection's, it is asked for once more."""
    broken, reason, times = BROKEN[case]

    def answer(question: Question) -> list[Act]:
        return broken(question) if question.zone == ZONES[4] else GOOD(question)

    async with scripted(answer) as primary:
        client = Client(primary, replace(HASTY, idle_timeout=0.2))
        results = await client.transfer_all()
        failed = results.pop(4)
        assert failed is (reason or Reason.MALFORMED)
        assert results == [5] * (len(ZONES) - 1)
        assert [each.zone for each in primary.asked].count(ZONES[4]) == times
        if times == 2:
            assert nth_on_its_connection(primary, [each for each in primary.asked if each.zone == ZONES[4]][1]) == 1


async def test_an_idle_connection_is_closed_after_a_while_and_nothing_wakes_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_connections, "KEPT_FOR", 0.05)
    async with scripted(GOOD) as primary:
        client = Client(primary)
        await client.transfer(ZONES[0])
        assert primary.open == 1
        await until(lambda: primary.open == 0)
        assert client.kept._timer is None
        assert await client.transfer(ZONES[1]) == 5


async def test_no_more_than_a_handful_are_kept() -> None:
    async with scripted(GOOD) as primary:
        client = Client(primary)
        zones = [f"many-{number}.test" for number in range(KEPT_AT_MOST + 5)]
        assert await asyncio.gather(*map(client.transfer, zones)) == [5] * len(zones)
        await until(lambda: primary.open == KEPT_AT_MOST)
        client.kept.close()
        await until(lambda: primary.open == 0)


async def test_a_transfer_given_up_takes_its_connection_along() -> None:
    def answer(question: Question) -> list[Act]:
        return [STALL] if question.zone == ZONES[1] else GOOD(question)

    async with scripted(answer) as primary:
        client = Client(primary)
        assert await client.transfer(ZONES[0]) == 5
        asking = asyncio.create_task(client.transfer(ZONES[1]))
        await until(lambda: len(primary.asked) == 2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: primary.open == 0)
        assert await client.transfer(ZONES[2]) == 5
        assert client.connections() == 2
