"""`nameserver export`: the version served as a zone file, from the server or, where none runs, from its store."""

import json
from typing import NamedTuple

import pytest
from support.pair import pair
from support.zones import zone_text

from nameserver.cli.main import main
from nameserver.wire import names
from nameserver.zone.zone_text import write_zone_file
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def test_a_zone_is_exported_from_the_server_and_from_the_store_when_it_is_down(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    def export(*arguments: str) -> Done:
        """The command, without the cost of a process."""
        capfd.readouterr()
        code = main(["export", *arguments])
        return Done(code, *capfd.readouterr())

    directory = tmp_path_factory.mktemp("export")
    text = zone_text(ZONE, 1, hosts=3000)
    built = read_zone_file(text, names.from_text(ZONE), "z")
    canonical = write_zone_file(built.nodes, built.apex_as_received)
    with pair([ZONE], text=lambda *_, **__: text) as (_, ours):
        where = ("-c", str(ours.config))
        done = export(ZONE, *where)
        assert (done.returncode, done.stdout) == (0, canonical)
        records = f"{built.records:,} records"
        assert done.stderr == f"{ZONE}: serial 1, {records}, from the running server\n"
        target = directory / "exported.zone"
        target.write_text("before")
        done = export(ZONE, "-o", str(target), "--json", *where)
        told = {"zone": ZONE, "serial": 1, "records": built.records, "from": "the running server", "file": str(target)}
        assert json.loads(done.stdout) == told
        assert target.read_text() == canonical
        target.write_text("before")
        done = export("absent.example", "-o", str(target), *where)
        assert (done.returncode, target.read_text()) == (2, "before")
        assert "no zone absent.example is configured here" in done.stderr
        ours.stop()
        done = export(ZONE, "-o", str(target), *where)
        assert done.returncode == 0
        store = ours.directory / "state"
        assert f"from the store in {store}, as no server answers, written to {target}\n" in done.stderr
        assert target.read_text() == canonical
        done = export(ZONE, "--control", str(ours.control))
        assert done.returncode == 3 and "--state-dir DIR tells where the store is" in done.stderr
        assert export(ZONE, "--control", str(ours.control), "--state-dir", str(store)).stdout == canonical
        done = export("absent.example", *where)
        assert (done.returncode, done.stdout) == (1, "")
        assert [each.name for each in directory.iterdir()] == ["exported.zone"]
