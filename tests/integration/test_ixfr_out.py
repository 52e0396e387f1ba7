"""IXFR out of our daemons: an edit of a zone file goes down a chain of two of them as just that, kill -9 or not."""

from contextlib import ExitStack

from support import ask
from support.ask import Record
from support.pair import Own
from support.zones import zone_text

ZONE = "example.com"
OPEN = '[{ address = "127.0.0.0/8" }]'


def text(serial: int, *lines: str) -> str:
    return zone_text(ZONE, serial, extra="".join(f"{line}\n" for line in lines))


def changed(records: list[Record]) -> tuple[list[int], set[str], set[str]]:
    """(the serials of all SOA records in order, what is deleted, what is added) of an answer with one step."""
    places = [place for place, record in enumerate(records) if record.rdtype == "SOA"]
    serials = [int(records[place].rdata.split()[2]) for place in places]
    deleted, added = records[places[1] + 1 : places[2]], records[places[2] + 1 : places[3]]
    return serials, {f"{r.owner} {r.rdata}" for r in deleted}, {f"{r.owner} {r.rdata}" for r in added}


def test_an_edit_of_a_zone_file_goes_down_the_chain_as_it_was_made_and_is_kept_through_kill_9() -> None:
    with ExitStack() as stack:
        top, below = stack.enter_context(Own()), stack.enter_context(Own())
        file = top.directory / "zone"
        file.write_text(text(1, "gone A 192.0.2.71", "same A 192.0.2.72"))
        top.zone_table(ZONE, type='"primary"', file='"zone"', allow_transfer=OPEN, also_notify='["below"]')
        top.remote("below", below.port)
        below.remote("above", top.port)
        below.zone_table(ZONE, primaries='["above"]', allow_transfer=OPEN, min_refresh_time='"1h"')
        top.start()
        below.start()

        file.write_text(text(2, "same A 192.0.2.72", "come A 192.0.2.73"))
        top.order("reload")
        below.wait(lambda: below.serial(ZONE) == 2, what="the edit to come down")
        last = below.zone(ZONE)["last_transfer"]
        assert (last["asked"], last["got"], last["records"]) == ("ixfr", "ixfr", 8)

        wanted = (
            [2, 1, 2, 2],
            {"gone.example.com. 192.0.2.71", 'serial.example.com. "1"'},
            {"come.example.com. 192.0.2.73", 'serial.example.com. "2"'},
        )
        for each in (top, below):
            assert changed(ask.transfer(each.port, ZONE, since=1)) == wanted
        below.kill_all()
        top.stop()
        below.start()
        assert changed(ask.transfer(below.port, ZONE, since=1)) == wanted
        ask.transfer(below.port, ZONE)

        def sent() -> dict[str, int]:
            zone = below.zone(ZONE)
            return {name: zone[name] for name in ("ixfr_sent", "axfr_sent")}

        below.wait(lambda: sent() == {"ixfr_sent": 1, "axfr_sent": 1}, what="the transfers in the status")
        assert below.zone(ZONE)["bytes_sent"] > 1000
        line = f'nameserver_zone_transfer_sent_bytes_total{{zone="{ZONE}"}}'
        assert below.metrics()[line] == below.zone(ZONE)["bytes_sent"]
        assert "1 whole transfer and 1 incremental one to secondaries" in below.command("status", ZONE)
