"""Statuses survive the control socket, also between two versions of the program."""

import json

from support.statuses import NOW, downstream, failing, paused, server, zone

from nameserver.telemetry.status import ZONE_STATES, ServerStatus, WorkerStatus, ZoneStatus


def test_a_zone_survives_the_way_through_json() -> None:
    for each in (zone(), failing(), paused(), zone(last_transfer=None, primaries=(), serial=None)):
        assert ZoneStatus.from_json(json.loads(json.dumps(each.to_json()))) == each


def test_those_below_survive_the_way_through_json() -> None:
    edges = (downstream(), downstream(via="transfer", serial=None, notify_reason="refused", next_check=NOW))
    again = ZoneStatus.from_json(json.loads(json.dumps(zone(downstreams=edges).to_json())))
    assert again.downstreams == edges
    assert [each.is_told for each in edges] == [True, False]


def test_a_server_survives_the_way_through_json() -> None:
    each = server(notices=("the store was damaged",), workers=(WorkerStatus(index=0),))
    assert ServerStatus.from_json(json.loads(json.dumps(each.to_json()))) == each


def test_fields_of_another_version_are_ignored_or_take_their_defaults() -> None:
    status = ZoneStatus.from_json({"name": "example.com", "from_the_future": 1})
    assert status == ZoneStatus(name="example.com")


def test_serials_up_to_the_last_one_stay_exact() -> None:
    for serial in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
        assert ZoneStatus.from_json(json.loads(json.dumps(zone(serial=serial).to_json()))).serial == serial


def test_every_state_of_the_refresh_machine_is_a_zone_state() -> None:
    from nameserver.refresh.machine import State

    assert {str(state) for state in State} <= set(ZONE_STATES)
