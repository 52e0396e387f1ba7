"""Starting, with impatient operators about."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.daemon import Nameserver
from support.zones import small_zone_text

from nameserver.control.client import call
from nameserver.control.protocol import ControlError

ZONE = "example.com"


@pytest.fixture
def ours() -> Iterator[Nameserver]:
    """Stopped, with a version of the zone in its store and its primary up: one of ours as well."""
    with Nameserver() as primary, Nameserver(zones=[ZONE], key=primary.watch_key, workers=2) as ours:
        (primary.directory / "zone").write_text(small_zone_text(ZONE, 1))
        primary.extra = f'[zone."{ZONE}"]\ntype = "primary"\nfile = "zone"\n'
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        ours.stop()
        yield ours
        primary.stop()


@pytest.mark.parametrize(("verb", "arguments"), [("refresh", {}), ("retransfer", {"zone": ZONE}), ("reload", {})])
def test_a_command_that_comes_while_it_starts_does_not_bring_it_down(
    ours: Nameserver, verb: str, arguments: dict[str, str]
) -> None:
    ours.start(wait_ready=False)
    until = time.monotonic() + 30
    while " ready: " not in ours.log.rpartition("stopped")[2]:
        with suppress(ControlError):  # too early, or refused: both are fine
            call(ours.control, verb, **arguments)
        assert ours.child.alive, ours.log[-2000:]
        assert time.monotonic() < until, ours.log[-2000:]
    ours.wait(lambda: ours.serial(ZONE) == 1, what="the zone")
    ours.stop()


def test_a_second_instance_on_the_same_state_directory_is_refused_and_the_first_goes_on(ours: Nameserver) -> None:
    ours.start()
    with Nameserver(zones=[ZONE], primary_port=ours.primary_port, server={}) as second:
        second.configure()
        text = second.config.read_text().replace('state-dir = "state"', f'state-dir = "{ours.directory}/state"')
        second.config.write_text(text)
        said = second.command("run", expect=2)
        assert said == ""
    assert ours.serial(ZONE) == 1
    ours.stop()
