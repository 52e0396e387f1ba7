"""SIGHUP and `reload`: what changed is changed, the rest is not touched, and a bad file changes nothing."""

import os
import signal
from collections.abc import Iterator

import dns.rcode
import pytest
from support.daemon import new_key
from support.pair import Feeder, Own, pair
from support.zones import small_zone_text

from nameserver.control.protocol import ControlError

ONE, TWO, THREE = "one.example", "two.example", "three.example"


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Feeder, Own]]:
    """A pair that the tests of this file share; each leaves ONE and TWO configured."""
    with pair([ONE, TWO], secondary={"workers": 2}) as made:
        yield made
        made[1].stop()


def transfers(ours: Own) -> float:
    """Those in that succeeded: a zone that the primary has not read yet may be asked for more than once."""
    rows = ours.metrics().items()
    wanted = ("nameserver_transfers_total", 'outcome="ok"', 'direction="in"')
    return sum(value for name, value in rows if all(part in name for part in wanted))


def test_zones_come_and_go_and_the_others_are_not_touched(both: tuple[Feeder, Own]) -> None:
    feeder, ours = both
    before = {zone: ours.zone(zone) for zone in (ONE, TWO)}
    count, pids = transfers(ours), ours.pids()
    feeder.feed(THREE, small_zone_text(THREE, 5))
    feeder.reread()
    ours.zone_table(THREE, primaries='["primary"]')
    ours.configure()
    said = ours.command("reload")
    assert "1 zone added, 0 removed, 0 changed, 2 untouched" in said
    ours.wait(lambda: ours.serial(THREE) == 5, what="the new zone")
    ours.drop_zone(THREE)
    ours.configure()
    ours.signal(signal.SIGHUP)
    ours.wait(lambda: ours.query(THREE, "SOA").rcode() == dns.rcode.REFUSED, what="the zone to go")
    assert ours.zone(THREE) == {}
    for zone in (ONE, TWO):
        after = ours.zone(zone)
        unchanged = ("generation", "serial", "state")
        assert {name: after[name] for name in unchanged} == {name: before[zone][name] for name in unchanged}
        assert after["last_change"] == pytest.approx(before[zone]["last_change"], abs=0.01)
    assert transfers(ours) == count + 1
    assert ours.pids() == pids
    feeder.drop_zone(THREE)
    feeder.reread()


@pytest.mark.parametrize("how", ["command", "signal"])
def test_a_bad_file_changes_nothing_and_says_where_it_is_bad(both: tuple[Feeder, Own], how: str) -> None:
    _, ours = both
    text = ours._text()
    line = text.count("\n") + 2
    ours.config.write_text(text + f'\n[zone."{ONE}x"]\nprimaries = ["nobody"]\n')
    if how == "command":
        ours.command("reload", expect=2)
    else:
        ours.signal(signal.SIGHUP)
    ours.wait(lambda: not ours.status()["server"]["last_reload_ok"], what="the reload to fail")
    message = ours.status()["server"]["last_reload_message"]
    assert f"{ours.config}:{line + 1}: " in message and "nobody" in message
    assert "nothing was changed" in ours.log and f"{ours.config}:{line + 1}: " in ours.log
    assert ours.metrics()["nameserver_config_last_reload_successful"] == 0
    assert (ours.serial(ONE), ours.serial(TWO)) == (1, 1)
    ours.reread()
    assert ours.metrics()["nameserver_config_last_reload_successful"] == 1


BAD = {
    "syntax": ("this is no TOML\n", 1),
    "an unknown key": ('[zone."x.example"]\nprimares = ["primary"]\n', 2),
    "a bad address": ('[remote.x]\naddress = ["192.0.2.256"]\n', 2),
    "a secret that others can read": ('[key."x"]\nalgorithm = "hmac-sha256"\nsecret-file = "open.secret"\n', 3),
    "a secret that is not there": ('[key."x"]\nalgorithm = "hmac-sha256"\nsecret-file = "none.secret"\n', 3),
    "a zone twice": (f'[zone."{ONE}."]\nprimaries = ["primary"]\n', 1),
}


@pytest.mark.parametrize("what", BAD)
def test_of_a_configuration_with_one_fault_nothing_is_taken(both: tuple[Feeder, Own], what: str) -> None:
    """F60: one line that says where, a control status that says no, and everything as it was, also what was right."""
    _, ours = both
    (ours.directory / "open.secret").write_text("A" * 43 + "=\n")
    (ours.directory / "open.secret").chmod(0o644)
    text = ours._text()
    good = f'[zone."{THREE}"]\nprimaries = ["primary"]\n'
    lines, offset = BAD[what]
    before = ours.status()
    ours.config.write_text(f"{text}\n{good}{lines}")
    with pytest.raises(ControlError) as refused:
        ours.order("reload")
    place = f"{ours.config}:{text.count(chr(10)) + 1 + good.count(chr(10)) + offset}: "
    said = [line for line in str(refused.value).splitlines() if line.startswith(f"{ours.config}:")]
    assert len(said) == 1 and said[0].startswith(place)
    after = ours.status()
    assert [zone["name"] for zone in after["zones"]] == [zone["name"] for zone in before["zones"]] == [ONE, TWO]
    assert [zone["generation"] for zone in after["zones"]] == [zone["generation"] for zone in before["zones"]]
    assert ours.query(THREE, "SOA").rcode() == dns.rcode.REFUSED
    assert len(ours.axfr(ONE)) > 3, "its key is the one it was"
    ours.reread()


def test_a_key_takes_effect_with_the_reload_on_every_worker(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    old = ours.watch_key
    ours.watch_key = new_key("watch-key")
    ours.keys[0] = ours.watch_key
    ours.reread()
    for _ in range(6):
        assert len(ours.axfr(ONE)) > 3
        assert ours.query(ONE, "SOA", key=ours.watch_key, tcp=True).rcode() == 0
    ours.watch_key, new = old, ours.watch_key
    with pytest.raises(Exception, match="BADSIG"):
        ours.axfr(ONE)
    ours.watch_key = new


def test_settings_that_need_a_restart_are_named_and_leave_the_reload_alone(
    both: tuple[Feeder, Own],
) -> None:
    _, ours = both
    ours.settings["nsid"] = '"new"'
    assert "nsid changed, which takes a restart" in ours.reread()["message"]
    del ours.settings["nsid"]
    ours.reread()


def test_many_signals_at_once_are_as_good_as_one(both: tuple[Feeder, Own]) -> None:
    """F63: and those that mean nothing to us end nothing."""
    _, ours = both
    before, pids = ours.log.count("reloaded: "), ours.pids()
    for _ in range(100):
        ours.signal(signal.SIGHUP)
        for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
            for pid in pids:
                os.kill(pid, number)
    ours.wait(lambda: ours.log.count("reloaded: ") > before, what="a reload")
    assert ours.reread()["message"].startswith("0 zones added")
    assert ours.log.count("reloaded: ") < before + 100
    assert ours.serial(ONE) == 1
    assert ours.pids() == pids


def test_a_zone_that_becomes_a_primary_takes_its_file_and_back_again(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    (ours.directory / "own.zone").write_text(small_zone_text(TWO, 900))
    ours.zone_table(TWO, type='"primary"', file='"own.zone"')
    ours.reread()
    ours.wait(lambda: ours.serial(TWO) == 900, what="the file")
    ours.zone_table(TWO, primaries='["primary"]')
    ours.reread()
    ours.wait(lambda: ours.serial(TWO) == 1, what="the primary's zone, lower serial and all")
