"""What breaks is counted, told once a minute, and answered where it can be."""

import asyncio
import errno
import logging
from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from support.clock import ManualClock
from support.pipelines import NOW, counted, pipeline_of, question, served
from support.served_zones import HEAD

from nameserver.query import pipeline as pipeline_module
from nameserver.query.counters import CALLBACK, QUERY
from nameserver.query.pipeline import Pipeline
from nameserver.server import faults as faults_module
from nameserver.server.faults import Faults, place_of
from nameserver.telemetry.throttle import Throttle

CLIENT = ip_address("192.0.2.200")


@pytest.fixture
def pipeline() -> Pipeline:
    return pipeline_of(served(HEAD, "example.com."))


def failure(what: str = "broken on purpose") -> RuntimeError:
    try:
        raise RuntimeError(what)
    except RuntimeError as error:
        return error


def broken(*_: object, **__: object) -> None:
    raise failure()


def handled(pipeline: Pipeline, data: bytes, faults: Faults):
    """As the listeners do."""
    try:
        return pipeline.handle(data, CLIENT, 5353, "udp", NOW)
    except Exception as error:  # noqa: BLE001 - as the listeners do
        return faults.answer(error, pipeline, data, "udp")


def test_who_asked_gets_servfail_with_his_question_and_opt(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F75."""
    monkeypatch.setattr(pipeline_module, "answer_query", broken)
    faults = Faults.counted_in(pipeline.counters)
    for _ in range(100):
        outcome = handled(pipeline, question("ns1.example.com.", edns=1232), faults)
        reply = dns.message.from_wire(outcome.reply)
        assert (reply.id, reply.rcode(), reply.edns) == (4711, dns.rcode.SERVFAIL, 0)
        assert str(reply.question[0].name) == "ns1.example.com."
    counts = counted(pipeline)
    assert counts["nameserver_internal_errors_total{process=worker,where=query}"] == 100
    assert counts["nameserver_responses_total{rcode=SERVFAIL,transport=udp,truncated=false}"] == 100
    assert caplog.text.count("broken on purpose") == 1
    assert "please report this" in caplog.text


def test_where_reading_requests_is_what_breaks_nothing_is_answered(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "parse_request", broken)
    assert handled(pipeline, question("example.com."), Faults.counted_in(pipeline.counters)).reply is None


def test_a_fault_over_what_is_no_request_is_not_answered(pipeline: Pipeline) -> None:
    """No reply to a reply, whatever broke on the way."""
    faults = Faults.counted_in(pipeline.counters)
    reply = pipeline.handle(question("example.com."), CLIENT, 5353, "udp", NOW).reply
    assert reply is not None
    assert faults.answer(failure(), pipeline, reply, "udp").reply is None


def test_each_kind_is_told_once_a_minute_with_its_count(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
    where: list[str] = []
    faults = Faults(where.append, Throttle(60.0, clock))
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            faults.broke(QUERY, "answering", failure())
            faults.mention("sending a reply", OSError(errno.EPERM, "Operation not permitted"))
            faults.mention("sending a reply", OSError(errno.ENOBUFS, "No buffer space available"))
            clock.advance(2.0)
    assert len(where) == 60
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 6
    assert sum("(30 times since this was last told)" in message for message in messages) == 3


async def test_a_callback_that_raises_is_counted_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    where: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Faults(where.append).loop_handler)
    went_on = asyncio.Event()
    for _ in range(3):
        loop.call_soon(broken)
    loop.call_later(0.01, went_on.set)
    await went_on.wait()
    assert where == [CALLBACK] * 3
    assert caplog.text.count("please report this") == 1


async def test_what_the_loop_itself_complains_of_is_told_without_being_a_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    where: list[str] = []
    handler = Faults(where.append).loop_handler
    loop = asyncio.get_running_loop()
    for _ in range(3):
        handler(loop, {"message": "something is odd"})
        handler(loop, {"message": "Fatal write error", "exception": OSError(errno.EPIPE, "Broken pipe")})
    assert where == []
    assert [record.getMessage() for record in caplog.records] == ["something is odd", "Fatal write error: Broken pipe"]


def test_the_place_is_the_innermost_of_ours() -> None:
    try:
        faults_module.Faults(int).not_sent(None)  # type: ignore[arg-type]
    except AttributeError as error:
        assert place_of(error.__traceback__).startswith("nameserver.server.faults:")
    assert place_of(failure().__traceback__).startswith(__name__)
    assert place_of(None) == "an unknown place"
