"""Log lines: fixed order, one line each, nothing of a peer's unescaped."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.statuses import HOSTILE, NOW, transfer

from nameserver.errors import Reason
from nameserver.telemetry import log
from nameserver.telemetry.events import (
    CheckEvent,
    Direction,
    Kind,
    NotifyReceivedEvent,
    NotifySentEvent,
    Outcome,
)

CHECK = CheckEvent(
    at=NOW,
    zone="example.com",
    primary="primary-a",
    address="192.0.2.1:53",
    serial_held=1,
    serial_seen=2,
    seconds=0.5,
)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`setup` changes the root logger of the whole process."""
    root, ours = logging.getLogger(), logging.getLogger("nameserver")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def written(log_format: str, level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    log.setup(level, log_format, stream)
    return stream


def test_a_transfer_line_has_its_fields_in_a_fixed_order() -> None:
    assert log.transfer_line(transfer()) == (
        "transfer in zone=example.com primary=primary-a key=transfer-key transport=tcp asked=ixfr got=ixfr "
        "serial=2026112100->2026112101 messages=1 records=5 bytes=412 seconds=0.021 outcome=ok reason=-"
    )


def test_a_failed_transfer_ends_with_reason_and_detail() -> None:
    event = transfer(
        outcome=Outcome.FAILED,
        reason=Reason.NO_NS,
        detail='the "apex" has none',
        got=Kind.NONE,
        serial_new=None,
        key="",
    )
    line = log.transfer_line(event)
    assert line.endswith(r'outcome=failed reason=no-ns detail="the \"apex\" has none"')
    assert " key=- " in line
    assert " serial=2026112100->none " in line


def test_a_transfer_out_names_the_client() -> None:
    line = log.transfer_line(transfer(direction=Direction.OUT, address="198.51.100.7:40000", primary=""))
    assert line.startswith("transfer out zone=example.com client=198.51.100.7:40000 ")


def test_check_and_notify_lines_read_alike() -> None:
    assert log.check_line(CHECK) == (
        "check zone=example.com primary=primary-a address=192.0.2.1:53 key=- transport=udp serial=1->2 "
        "seconds=0.500 outcome=ok reason=-"
    )
    received = NotifyReceivedEvent(at=NOW, zone="example.com", source="192.0.2.1", serial=7)
    assert log.notify_line(received) == (
        "notify in zone=example.com source=192.0.2.1 key=- serial=7 outcome=ok reason=-"
    )
    sent = NotifySentEvent(at=NOW, zone="z", target="edge", tries=5, outcome=Outcome.FAILED, detail="no answer")
    assert log.notify_line(sent).endswith('serial=- tries=5 outcome=failed reason=- detail="no answer"')


@given(st.text(max_size=600))
def test_escaped_text_prints_on_one_line_and_is_bounded(text: str) -> None:
    escaped = log.escape(text)
    assert escaped.isprintable()
    assert len(escaped) <= 10 * (log.MAX_TEXT + 1)


@given(st.text())
def test_a_value_stays_one_value(text: str) -> None:
    quoted = log.quote(text)
    assert re.fullmatch(r'[^\s="]+|"(?:[^"\\]|\\.)*"', quoted)


def test_every_kind_of_control_character_is_visible() -> None:
    assert log.escape("a\n\x1b\x7f\u202e\U000e0001\ud800") == r"a\x0a\x1b\x7f\u202e\U000e0001\ud800"
    assert log.escape("x" * 300) == "x" * 255 + "…"


@pytest.mark.parametrize("log_format", log.FORMATS)
def test_a_hostile_detail_cannot_start_a_second_line(log_format: str) -> None:
    stream = written(log_format)
    log.log_event(transfer(outcome=Outcome.FAILED, reason=Reason.SERVFAIL, detail=HOSTILE))
    logging.getLogger("nameserver.other").warning("careless %s", HOSTILE)
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()


def test_a_plain_line_starts_with_time_and_level() -> None:
    stream = written("plain")
    log.log_event(transfer())
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO transfer in zone=", stream.getvalue())


def test_json_carries_the_event_field_by_field() -> None:
    stream = written("json")
    log.log_event(transfer(outcome=Outcome.FAILED, reason=Reason.NO_SOA, detail=HOSTILE))
    data = json.loads(stream.getvalue())
    assert (data["level"], data["logger"]) == ("warning", "nameserver.transfer")
    assert (data["event"]["zone"], data["event"]["reason"], data["event"]["serial_new"]) == (
        "example.com",
        "no-soa",
        2026112101,
    )
    assert "\x1b" not in data["event"]["detail"]


@pytest.mark.parametrize("log_format", log.FORMATS)
def test_a_traceback_is_kept_with_its_lines_escaped(log_format: str) -> None:
    stream = written(log_format)
    try:
        raise ValueError("bad \x1b[2J")
    except ValueError:
        logging.getLogger("nameserver").exception("it broke")
    text = stream.getvalue()
    assert "ValueError: bad" in text
    assert "\x1b" not in text


def test_what_goes_well_all_the_time_is_debug_and_what_fails_is_a_warning() -> None:
    stream = written("plain", "info")
    log.log_event(CHECK)
    log.log_event(NotifyReceivedEvent(at=NOW, zone="z", source="s", outcome=Outcome.IGNORED))
    assert stream.getvalue() == ""
    log.log_event(NotifyReceivedEvent(at=NOW, zone="z", source="s", outcome=Outcome.REFUSED))
    assert " INFO notify in " in stream.getvalue()  # anyone may cause it


def test_setting_up_again_replaces_the_first() -> None:
    first = written("plain")
    second = written("json")
    logging.getLogger("nameserver").warning("once")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["message"] == "once"


@pytest.mark.parametrize(("level", "log_format"), [("loud", "plain"), ("info", "xml")])
def test_unknown_settings_name_what_there_is(level: str, log_format: str) -> None:
    with pytest.raises(log.LogSettingsError, match="there is: "):
        log.setup(level, log_format)


def test_a_transfer_in_which_something_had_to_be_put_right_is_a_warning() -> None:
    stream = written("plain", "warning")
    log.log_event(transfer())
    assert stream.getvalue() == ""
    log.log_event(transfer(detail="the primary did not set AA"))
    assert "WARNING transfer in" in stream.getvalue()


def test_a_failure_like_the_one_before_is_debug() -> None:
    stream = written("plain", "info")
    failed = CHECK._replace(outcome=Outcome.FAILED, reason=Reason.CONNECT_REFUSED)
    log.log_event(failed)
    log.log_event(failed, repeated=True)
    assert stream.getvalue().count("connect-refused") == 1


def test_a_habit_of_the_primary_is_a_warning_once() -> None:
    stream = written("plain", "info")
    log.log_event(transfer(detail="the primary did not set AA"))
    log.log_event(transfer(detail="the primary did not set AA"), known=True)
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["WARNING", "INFO"]
