"""A chain of ours: who waits in the middle of it, and what is known there of the one below."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemon import new_key
from support.pair import Feeder, Own
from support.wait import wait_for
from support.zones import small_zone_text

ZONE = "example.com"


@contextmanager
def chain() -> Iterator[tuple[Feeder, Own, Own]]:
    """All of them serve serial 1."""
    key = new_key("transfer-key")
    with Own(workers=2) as middle, Own() as edge, Feeder(key, middle.port) as feeder:
        for each, above in ((middle, feeder), (edge, middle)):
            each.keys.append(key)
            each.remote("above", above.port, key)
        middle.remote("edge", edge.port, key)
        feeder.feed(ZONE, small_zone_text(ZONE, 1))
        middle.zone_table(ZONE, primaries='["above"]', also_notify='["edge"]', allow_transfer='[{ remote = "edge" }]')
        edge.zone_table(ZONE, primaries='["above"]')
        for each in (feeder, middle, edge):
            each.start()
        yield feeder, middle, edge


@contextmanager
def waiting(server: Own, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`nameserver wait` under way."""
    command = [sys.executable, "-m", "nameserver", "wait", ZONE, *arguments, "--json", "-c", str(server.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_waits_learns_when_a_version_is_answered_here_and_below_and_who_lacks_it() -> None:
    with chain() as (feeder, middle, edge):
        assert middle.order("wait", zone=ZONE, serial=1, all=True, within=25)["reached"]
        with waiting(middle, "--serial", "2", "--all", "--timeout", "50") as patient:
            feeder.update(ZONE, small_zone_text(ZONE, 2))
            out, err = patient.communicate(timeout=55)
            assert patient.returncode == 0, err
            assert edge.serial(ZONE) == middle.serial(ZONE) == 2
        (row,) = json.loads(out)["downstreams"]
        assert (row["name"], row["serial"], row["answers"]) == ("edge", 2, True)
        assert middle.metrics()['nameserver_downstream_lag_seconds_count{secondary="edge"}'] == 2
        (row,) = middle.zone(ZONE)["downstreams"]
        assert (row["serial"], row["answers"], row["has_it"], row["behind_since"]) == (2, True, True, None)

        edge.kill_all()
        feeder.update(ZONE, small_zone_text(ZONE, 3))
        assert middle.order("wait", zone=ZONE, serial=3, within=25)["reached"]
        with waiting(middle, "--serial", "3", "--all", "--timeout", "0.5") as below:
            out, _ = below.communicate(timeout=55)
            assert below.returncode == 1
            report = json.loads(out)
            assert report["here"] and [each["name"] for each in report["downstreams"] if not each["reached"]] == [
                "edge"
            ]

        middle.drop_zone(ZONE)
        middle.configure()
        with waiting(middle, "--serial", "4", "--timeout", "50") as left:
            wait_for(lambda: _connected(middle), 30, "it to wait")
            middle.order("reload", force=True)
            out, _ = left.communicate(timeout=55)
            assert left.returncode in (1, 2) and f"no zone {ZONE}" in json.loads(out)["error"]


def _connected(server: Own) -> bool:
    """Whether somebody is connected to the control socket."""
    path = str(server.control)
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(path) for line in lines) > 1
