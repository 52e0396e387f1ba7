"""Real secondaries below a zone of ours that is paused: they go on as if nothing were, under a key and without."""

import json
from contextlib import ExitStack

import pytest
from support.daemon import new_key
from support.pair import Feeder
from support.peers import requires
from support.secondaries import BindSecondary, KnotSecondary, NsdSecondary, PdnsSecondary, Secondary
from support.wait import wait_for
from support.zones import zone_text

ZONE = "example.com"
BELOW: tuple[type[Secondary], ...] = (KnotSecondary, NsdSecondary, BindSecondary, PdnsSecondary)

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("signed", [True, False], ids=["key", "address"])
def test_they_are_told_of_changes_ask_for_the_soa_and_fetch_what_is_new(signed: bool) -> None:
    requires(*(program for kind in BELOW for program in kind.programs))
    key = new_key("between") if signed else None
    with ExitStack() as stack:
        ours = stack.enter_context(Feeder(workers=2))
        below = [stack.enter_context(kind({ZONE: ours.port}, key, hurried=False)) for kind in BELOW]
        if key is not None:
            ours.keys.append(key)
        for each in below:
            ours.remote(each.name.lower(), each.port, key)

        def serve(serial: int) -> None:
            (ours.directory / "zone").write_text(zone_text(ZONE, serial))
            allowed = '[{ address = "127.0.0.0/8" }]' if key is None else f'[{{ key = "{key.name}" }}]'
            told = json.dumps([each.name.lower() for each in below])
            ours.zone_table(ZONE, type='"primary"', file='"zone"', also_notify=told, allow_transfer=allowed)

        def all_at(serial: int) -> None:
            for each in below:
                what = f"{each.name} at {serial}"
                wait_for(lambda each=each: each.serial(ZONE) == serial, 60, what, explain=each.explain)

        serve(1)
        ours.start()
        for each in below:
            each.start()
        all_at(1)
        ours.order("pause", zone=ZONE, answer="refused", length=3600)
        serve(2)
        ours.reread()
        all_at(2)
        assert ours.query(f"www.{ZONE}").rcode().name == "REFUSED"
        ours.wait(lambda: all(each["has_it"] for each in ours.zone(ZONE)["downstreams"]), 30, "all to be seen at it")
