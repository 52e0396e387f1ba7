"""`promote` and `demote`: a zone goes on in another role with what it holds, for its users and those below it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from support.pair import Feeder, Own, pair
from support.zones import small_zone_text, zone_text

from nameserver.cli.main import main
from nameserver.control.protocol import ControlError

ZONE = "example.com"


@contextmanager
def tree(serial: int = 1, timers: str = "3600 600 86400 300") -> Iterator[tuple[Feeder, Own, Own]]:
    """A primary, ours, and a secondary of ours that is told by NOTIFY."""
    with pair([ZONE], text=zone_text, serial=serial, timers=timers) as (feeder, ours), Own() as below:
        below.watch_key = ours.watch_key
        below.keys = [ours.watch_key]
        below.remote("above", ours.port, ours.watch_key)
        below.zone_table(ZONE, primaries='["above"]')
        ours.remote("below", below.port, ours.watch_key)
        ours.zone_table(ZONE, primaries='["primary"]', also_notify='["below"]')
        ours.reread()
        below.start()
        yield feeder, ours, below


def run(ours: Own, *arguments: str) -> tuple[int, str]:
    """A command, without the cost of a process: its exit code, and what it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main([*arguments, "-c", str(ours.config)])
    return code, said.getvalue()


def order(ours: Own, verb: str, zone: str = ZONE, **arguments: object) -> tuple[bool, str]:
    """The same over the control socket, without the cost of a command: whether it was done, and what was said."""
    try:
        answer = ours.order(verb, zone=zone, **arguments)
    except ControlError as error:
        return False, str(error)
    return True, "\n".join((*answer["steps"], *answer["hints"]))


def restart(ours: Own) -> None:
    """Stop and start it, until it takes orders."""
    ours.stop()
    start(ours)


def start(ours: Own) -> None:
    """Start it, until it takes orders: its zones may be answered before that."""
    ours.start(wait_ready=False)
    ours.wait(lambda: ours.page("/ready")[0] == 200, 30, "the start to be complete")


def zone_file(ours: Own) -> Path:
    return ours.directory / "state" / "primary" / f"{ZONE}.zone"


def edit(ours: Own, old: int, new: int, *lines: str) -> None:
    """Edit the zone's file as an operator does, and have it read."""
    path = zone_file(ours)
    text = path.read_text()
    assert f". {old} 3600 " in text
    path.write_text(text.replace(f". {old} 3600 ", f". {new} 3600 ", 1) + "".join(f"{line}\n" for line in lines))
    assert ours.order("reload")["problems"] == []


def test_a_zone_whose_primary_is_gone_is_promoted_edited_and_followed_and_demoted_when_it_is_back() -> None:
    with tree() as (feeder, ours, below):
        held, generation = ours.axfr(ZONE), ours.zone(ZONE)["generation"]
        feeder.stop()
        code, said = run(ours, "promote", ZONE)
        assert code == 0
        for part in (
            f"35 records, serial 1, written to {zone_file(ours)}",
            "it is a primary zone at serial 1, as before; its history is kept",
            f"edit {zone_file(ours)}, raise the serial above 1, nameserver reload",
            "its SOA names ns1.example.com as the primary",
            "while the configuration says secondary of primary",
        ):
            assert part in said
        assert ours.axfr(ZONE) == held
        zone = ours.zone(ZONE)
        assert (zone["type"], zone["state"], zone["generation"], zone["expires"]) == (
            "primary", "serving", generation, None,
        )  # fmt: skip
        edit(ours, 1, 2, "new.example.com. 60 IN A 192.0.2.7")
        below.wait(lambda: below.serial(ZONE) == 2, what="the edit below")
        assert below.axfr(ZONE) == ours.axfr(ZONE)
        assert below.zone(ZONE)["last_transfer"]["got"] == "ixfr", "the history went on"
        # Loud wherever one looks, and the same after a restart.
        restart(ours)
        assert (ours.serial(ZONE), ours.zone(ZONE)["type"]) == (2, "primary")
        for arguments in (("status", ZONE), ("why", ZONE), ("check-config",), ("reload",)):
            code, said = run(ours, *arguments)
            assert code == 0 and "promoted by command on" in said, arguments
        assert "promoted or demoted by command, other than configured: example.com" in run(ours, "status")[1]
        # Twice does no harm.
        done, said = order(ours, "promote")
        assert done and "it is a primary zone already" in said and "nothing is done" in said
        # Back: not while nobody gives it, not to less than is served, and then to what the primary has.
        done, said = order(ours, "demote")
        assert not done and "stays a primary zone: no primary gave it: connect-refused" in said
        start(feeder)
        code, said = run(ours, "demote", ZONE)
        assert code == 2 and "its serial is 2, and 1 at the primary" in said and "--accept-lower" in said
        assert (ours.serial(ZONE), ours.zone(ZONE)["type"]) == (2, "primary")
        feeder.update(ZONE, zone_text(ZONE, 3, extra="back IN A 192.0.2.8\n"))
        code, said = run(ours, "demote", ZONE)
        assert code == 0 and "taken whole from primary: serial 3, 36 records" in said
        assert "it is as the configuration says again" in said
        assert ours.axfr(ZONE) == feeder.axfr(ZONE)
        below.wait(lambda: below.serial(ZONE) == 3, what="the primary's version below")
        assert below.axfr(ZONE) == feeder.axfr(ZONE)
        assert "nothing is done" in order(ours, "demote")[1]
        feeder.update(ZONE, zone_text(ZONE, 4))
        ours.wait(lambda: ours.serial(ZONE) == 4, what="the next change of the primary")
        assert ours.status()["server"]["notices"] == []
        for each in (ours, below, feeder):
            each.stop()


def test_a_demotion_to_the_same_serial_takes_the_content_and_to_a_lower_one_when_told_so() -> None:
    with tree(serial=5) as (feeder, ours, _):
        order(ours, "promote")
        # The same serial on both sides, with other content: what nobody could see by serials.
        feeder.update(ZONE, zone_text(ZONE, 6, extra="theirs IN A 192.0.2.1\n"))
        edit(ours, 5, 6, "ours.example.com. 60 IN A 192.0.2.2")
        assert ours.serial(ZONE) == feeder.serial(ZONE) == 6
        assert order(ours, "demote")[0]
        assert ours.axfr(ZONE) == feeder.axfr(ZONE)
        done, said = order(ours, "promote")
        assert done and f"what was in {zone_file(ours)} is kept as {zone_file(ours)}.before-" in said
        edit(ours, 6, 9)
        done, said = order(ours, "demote", accept_lower=True)
        assert done and "serial 9 before, 6 now" in said and "secondaries with serial 9 follow when" in said
        assert ours.axfr(ZONE) == feeder.axfr(ZONE)
        assert ours.zone(ZONE)["type"] == "secondary"


def test_the_configuration_may_agree_contradict_and_lose_the_zone() -> None:
    with tree() as (feeder, ours, _):
        order(ours, "promote")
        edit(ours, 1, 2)
        feeder.stop()
        # The table goes by mistake, and comes back.
        table = ours.tables.pop(f'zone."{ZONE}"')
        ours.zone_table("other.example", primaries='["primary"]')
        assert "configured no more; should it come back" in " ".join(ours.reread()["warnings"])
        ours.tables[f'zone."{ZONE}"'] = table
        ours.reread()
        ours.wait(lambda: ours.serial(ZONE) == 2, what="the zone to be back, from its file")
        # It is changed, and still says something else.
        table["primaries"] = '["below"]'
        warnings = " ".join(ours.reread()["warnings"])
        assert "the configuration says secondary of below (it said secondary of primary then)" in warnings
        assert ours.zone(ZONE)["type"] == "primary"
        # It follows.
        del table["primaries"]
        table |= {"type": '"primary"', "file": f'"{zone_file(ours)}"'}
        assert ours.reread()["warnings"] == []
        assert "holds from now on" in ours.log
        assert (ours.serial(ZONE), ours.zone(ZONE)["override"]) == (2, "")
        restart(ours)
        assert ours.serial(ZONE) == 2
        # A primary zone by configuration is demoted to named primaries, and promoted back to its configured file.
        done, said = order(ours, "demote")
        assert not done and "say whose secondary it is to be, with --primaries" in said
        feeder.feed(ZONE, zone_text(ZONE, 3))
        start(feeder)
        feeder.wait(lambda: feeder.serial(ZONE) == 3, what="its file to be read")
        done, said = order(ours, "demote", primaries=["nobody"])
        assert not done and "no [remote.nobody] is configured; there is: below, primary" in said
        done, said = order(ours, "demote", primaries=["primary"])
        assert done, said
        assert 'write type = "secondary" and primaries = ["primary"]' in said
        restart(ours)
        assert ours.axfr(ZONE) == feeder.axfr(ZONE)
        assert ours.zone(ZONE)["type"] == "secondary"
        done, said = order(ours, "promote")
        assert done and "it is as the configuration says again" in said
        assert zone_file(ours).read_text().splitlines()[0].split()[6] == "3"


def test_what_cannot_be_promoted_stays_as_it_was() -> None:
    with pair([ZONE], text=small_zone_text, serial=3) as (feeder, ours):
        ours.zone_table("empty.example", primaries='["primary"]')
        ours.reread()
        done, said = order(ours, "promote", "empty.example")
        assert not done and "nothing is stored of zone empty.example, so there is nothing to promote" in said
        done, said = order(ours, "promote", file="/proc/nowhere/z.zone")
        assert not done and f"zone {ZONE} stays a secondary zone: /proc/nowhere" in said
        assert ours.zone(ZONE)["type"] == "secondary"
        feeder.update(ZONE, small_zone_text(ZONE, 4))
        ours.wait(lambda: ours.serial(ZONE) == 4, what="the zone to follow its primary as before")
        assert not (ours.directory / "state" / "roles.toml").exists()
