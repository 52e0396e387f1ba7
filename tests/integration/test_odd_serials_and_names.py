"""Serials all round the circle and zone names of any bytes, through everything a daemon does with them."""

import json
import os
import re
import urllib.request
from pathlib import Path

import dns.name
from prometheus_client.parser import text_string_to_metric_families
from support.ask import LOOPBACK
from support.bad_primary import Zone
from support.daemon import Nameserver
from support.scripted_primary import Question, Versions, notify, parted, scripted_beside

SERIALS = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 0, 1]  # each newer than the one before (RFC 1982)
ZONE = "example.com"


class Circle(Versions):
    """A good primary at any serial, with the difference from the version before."""

    def messages(self, question: Question) -> list[bytes]:
        zone = Zone(question.zone)
        if question.kind == "SOA":
            return [question.message(zone.soa(self.serial))]
        if question.kind == "IXFR" and question.held is not None:
            return parted(question, zone.difference(question.held, self.serial))
        return parted(question, [zone.soa(self.serial), *zone.body(self.serial), zone.soa(self.serial)])


def own(primary_port: int, zones: list[str], **more) -> Nameserver:
    """A daemon with these zones, their names as they are: in TOML's own quotes."""
    tables = "".join(f"[zone.{json.dumps(zone)}]\n" for zone in zones)
    return Nameserver(primary_port=primary_port, extra=tables, template={"min-refresh-time": "1h"}, **more)


def test_every_serial_is_exact_in_store_notify_ixfr_metrics_status_and_answers() -> None:
    primary = Circle(SERIALS[0])
    with scripted_beside(primary) as server, own(server.port, [ZONE]) as ours:
        ours.start(wait_ready=False)
        for number, serial in enumerate(SERIALS):
            primary.serial = serial
            if number:
                notify(ours.port, ZONE, serial)
            ours.wait(lambda serial=serial: ours.serial(ZONE) == serial, 10, f"serial {serial}")
            status = ours.zone(ZONE)
            assert (status["serial"], status["primary_serial"]) == (serial, serial)
            assert status["last_transfer"]["serial_new"] == serial
            assert status["last_transfer"]["got"] == ("ixfr" if number else "axfr")
            metrics = ours.metrics()
            assert metrics[f'nameserver_zone_serial{{zone="{ZONE}"}}'] == serial
            assert metrics[f'nameserver_zone_primary_serial{{zone="{ZONE}",primary="primary"}}'] == serial
            (soa,) = (record for record in ours.axfr(ZONE) if record.rdtype == "SOA")
            assert soa.rdata.split()[2] == str(serial)
            if serial in (2**31, 2**32 - 1):
                ours.kill_all()
                ours.start(wait_ready=False)
                ours.wait(lambda serial=serial: ours.serial(ZONE) == serial, 10, f"serial {serial} after a restart")
        assert ours.command("status", ZONE).count("4294967295") == 0, "it went on past the end of the circle"


# As RFC 1035 §5.1 writes them. Each is one label and another, but for the last.
ODD = [
    r"a\/b.example",
    r"back\\slash.example",
    r"\..example",
    r"\.\..example",
    r"\.\.\/\.\.\/etc.example",
    r"per%cent.example",
    r"\$ORIGIN.example",
    r"\@.example",
    r"quo\"te.example",
    r"it's.example",
    r"semi\;colon.example",
    r"nul\000.example",
    r"high\255.example",
    r"line\010break.example",
    r"escape\027[31m.example",
    r"sp\032ace.example",
    r"*.example",
    r"UPPER.Example",
    ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61)),
]


class Apexes(Versions):
    """A good primary of zones with nothing below the apex, since some have no room for it."""

    def messages(self, question: Question) -> list[bytes]:
        zone = Zone(question.zone)
        soa = zone.rr(f"@ 3600 SOA ns.elsewhere.test. hostmaster.elsewhere.test. {self.serial} 1 1 86400 300")
        others = [zone.rr("@ 3600 NS ns.elsewhere.test."), zone.rr("@ 300 TXT here")]
        return [question.message(soa) if question.kind == "SOA" else question.message(soa, *others, soa)]


def everywhere(directory: Path) -> set[str]:
    """All files below a directory."""
    return {str(Path(place, name).relative_to(directory)) for place, _, files in os.walk(directory) for name in files}


def test_zones_of_any_name_are_served_kept_and_shown_and_none_gets_out_of_its_place() -> None:
    with scripted_beside(Apexes(5)) as server, own(server.port, ODD) as ours:
        ours.start(wait_ready=False)
        ours.wait(lambda: [ours.serial(zone) for zone in ODD] == [5] * len(ODD), 20, "every zone")
        for zone in ODD:
            assert {record.rdtype for record in ours.axfr(zone)} == {"SOA", "NS", "TXT"}
            assert ours.zone(zone)["serial"] == 5
        shown = [entry["name"] for entry in ours.status()["zones"]]
        assert sorted(map(dns.name.from_text, shown)) == sorted(map(dns.name.from_text, ODD))
        with urllib.request.urlopen(f"http://{LOOPBACK}:{ours.http_port}/metrics", timeout=10) as page:
            families = {each.name: each for each in text_string_to_metric_families(page.read().decode())}
        labelled = {sample.labels["zone"] for sample in families["nameserver_zone_serial"].samples}
        assert set(map(dns.name.from_text, labelled)) == set(map(dns.name.from_text, ODD))
        with urllib.request.urlopen(f"http://{LOOPBACK}:{ours.http_port}/", timeout=10) as page:
            assert page.status == 200
        ours.kill_all()
        # Whatever was written was written in the place for it.
        allowed = re.compile(r"state/(state\.db(-wal|-shm)?|lock|reserve)|nameserver\.toml|log|control\.sock")
        assert {file for file in everywhere(ours.directory) if not allowed.fullmatch(file)} == set()
        assert all(line.isprintable() for line in ours.log.splitlines())
        server.answer = lambda _question: []
        ours.start(wait_ready=False)
        ours.wait(lambda: [ours.serial(zone) for zone in ODD] == [5] * len(ODD), 20, "every zone after the restart")
