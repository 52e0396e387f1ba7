"""Events as JSON."""

import json

import pytest
from support.statuses import NOW, transfer

from nameserver.errors import Reason
from nameserver.telemetry.events import (
    CheckEvent,
    Direction,
    Kind,
    NotifyReceivedEvent,
    NotifySentEvent,
    Outcome,
    TransferEvent,
)


def test_a_transfer_survives_the_way_through_json() -> None:
    event = transfer(outcome=Outcome.FAILED, reason=Reason.NO_NS, got=Kind.AXFR, direction=Direction.OUT)
    back = TransferEvent.from_json(json.loads(json.dumps(event.to_json())))
    assert back == event
    assert type(back.outcome) is Outcome
    assert type(back.reason) is Reason


def test_a_transfer_with_words_outside_the_vocabulary_is_refused() -> None:
    data = transfer().to_json()
    data["reason"] = "made-up"
    with pytest.raises(ValueError, match="made-up"):
        TransferEvent.from_json(data)


@pytest.mark.parametrize(
    "event",
    [
        CheckEvent(at=NOW, zone="a", primary="p"),
        NotifyReceivedEvent(at=NOW, zone="a", source="192.0.2.1"),
        NotifySentEvent(at=NOW, zone="a", target="t"),
    ],
)
def test_other_events_are_plain_json(event: CheckEvent | NotifyReceivedEvent | NotifySentEvent) -> None:
    assert json.loads(json.dumps(event.to_json()))["zone"] == "a"
