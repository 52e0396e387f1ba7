"""`nameserver export`: the version served as a zone file, from the server or, where none runs, from its store."""

import json
from typing import NamedTuple

import pytest
from support.octodns_reader import read
from support.pair import pair
from support.zones import zone_text

from nameserver.cli.main import main
from nameserver.wire import names
from nameserver.zone.rrset_lines import json_lines
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
    text = zone_text(ZONE, 1, hosts=1200, extra='pc IN HINFO "x" "y"\n')
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
        done = export(ZONE, "--format", "json", *where)
        assert (done.returncode, done.stdout) == (0, "".join(json_lines(canonical.splitlines(), ZONE, 1)))
        yaml_file = directory / f"{ZONE}.yaml"
        done = export(ZONE.upper(), "--format", "octodns", "-o", str(yaml_file), *where)
        assert done.returncode == 1, done.stderr
        assert "left out, as every provider makes its own: the SOA and what signers make (2 records)\n" in done.stderr
        assert done.stderr.endswith(
            "left out, as octoDNS has no form for it (a sync deletes it): 1 HINFO\n"
            "texts of several strings, which octoDNS joins and cuts at 255 octets: 1 TXT\n"
        )
        assert len(read(directory, ZONE)) == built.records - 3
        done = export(ZONE, "--format", "octodns", "-o", str(yaml_file), "--json", *where)
        told |= {"file": str(yaml_file), "format": "octodns", "made_by_providers": 2}
        assert json.loads(done.stdout) == told | {"left_out": {"HINFO": 1}, "joined": {"TXT": 1}}
        yaml_text = yaml_file.read_text()
        yaml_file.unlink()
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
        assert export(ZONE, "--format", "octodns", *where).stdout == yaml_text
        done = export(ZONE, "--control", str(ours.control))
        assert done.returncode == 3 and "--state-dir DIR tells where the store is" in done.stderr
        assert export(ZONE, "--control", str(ours.control), "--state-dir", str(store)).stdout == canonical
        done = export("absent.example", *where)
        assert (done.returncode, done.stdout) == (1, "")
        assert [each.name for each in directory.iterdir()] == ["exported.zone"]
