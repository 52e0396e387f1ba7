"""The end of a move beside real servers: what BIND counts and logs, and an old side that stays as a secondary."""

import json
import os
import subprocess
from pathlib import Path

import dns.message
import dns.query
import pytest
from support.ask import LOOPBACK, Key
from support.commands import nameserver
from support.internet import soa
from support.peers import PRIMARIES, BindPrimary, Primary, requires
from support.process import Child, free_port, program
from support.wait import wait_for

from nameserver.cli.migrate.moving import metrics_of
from nameserver.migrate.checks import clients, query_counts
from nameserver.migrate.move import phases
from nameserver.migrate.move.phases import State

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
ZONE = "shop.example"


def text(serial: int) -> str:
    return f"$TTL 300\n{soa(ZONE + '.', serial)}@ NS ns1\nns1 A 192.0.2.53\nwww A 192.0.2.1\n"


def ask(port: int, name: str, kind: str) -> None:
    dns.query.udp(dns.message.make_query(name, kind), LOOPBACK, port=port, timeout=5)


class CountingBind(BindPrimary):
    """BIND with its statistics and its query log."""

    statistics: int

    def configure(self) -> None:
        super().configure()
        path = self.directory / "named.conf"
        channel = f"statistics-channels {{ inet {LOOPBACK} port {self.statistics} allow {{ 127.0.0.1; }}; }};\n"
        path.write_text(
            channel + path.read_text().replace("options {", "options { zone-statistics full; querylog yes;")
        )


def test_bind_counts_and_logs_users_and_neither_probes_nor_transfers():
    requires("named")
    with CountingBind({ZONE: text(1)}) as old:
        old.statistics = free_port()
        old.start()
        state = State(ZONE, [f"{LOOPBACK}:{old.port}"], ["192.0.2.2"], "zones")
        state.metrics = f"http://{LOOPBACK}:{old.statistics}/json/v1/zones"
        fetch = metrics_of(state)
        assert fetch is not None
        first = query_counts.read_page(fetch()[0], ZONE)
        ask(old.port, f"www.{ZONE}", "A")
        ask(old.port, f"nothing.{ZONE}", "AAAA")
        ask(old.port, ZONE, "SOA")
        old.zone_records(ZONE)
        second = query_counts.read_page(fetch()[0], ZONE)
        assert (first.count, second.count) == (0, 2)
        assert first.started == second.started
        assert old.child is not None
        log = clients.read_log(old.child.log.splitlines(), ZONE)
        assert (log.queries, dict(log.networks)) == (2, {"127.0.0.0/24": 2})
        old.kill()
        old.restart()
        ask(old.port, ZONE, "SOA")
        again = query_counts.read_page(fetch()[0], ZONE)
        assert again.started is not None
        assert second.started is not None
        assert (again.count, again.started > second.started) == (0, True)


def test_powerdns_logs_who_asks_in_the_form_that_is_read(tmp_path: Path):
    kind = PRIMARIES["pdns"]
    requires(*kind.programs)

    class LoggingPdns(kind):  # type: ignore[misc, valid-type]
        def configure(self) -> None:
            super().configure()
            path = self.directory / "pdns.conf"
            path.write_text(path.read_text() + "log-dns-queries=yes\nloglevel=6\n")

    with LoggingPdns({ZONE: text(1)}) as old:
        old.start()
        ask(old.port, f"www.{ZONE}", "A")
        wait_for(lambda: "wants 'www." in old.child.log, 10, "the query in its log", explain=old.explain)
        assert clients.read_log(old.child.log.splitlines(), ZONE).queries == 1


def kept(directory: Path, vendor: str, old: str, new: str, *more: str) -> tuple[str, str]:
    """(what is to be pasted, the whole output)."""
    path = directory / "move.json"
    phases.write(path, State(ZONE, [old], [new], "zones", ["ns1.old.example"], phase="decommission", new_key=KEY.name))
    words = ["decommission", ZONE, "--state", str(path), "--keep-as-secondary", vendor, *more]
    done = nameserver("migrate", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return "\n".join([*json.loads(done.stdout)["lines"], ""]), done.stdout


@pytest.mark.parametrize("vendor", ["bind", "knot", "nsd", "pdns"])
def test_an_old_side_goes_on_as_a_secondary_of_the_new_one_with_what_is_pasted(vendor: str, tmp_path: Path):
    kind = PRIMARIES[vendor]
    requires(*kind.programs, "nsd")
    new = PRIMARIES["nsd"]({ZONE: text(5)}, transfer_key=KEY)
    old = kind({ZONE: text(9)})  # a serial that is higher: what is left of it must not keep the new side's out
    with new, old:
        new.start()
        old.start()
        lines, _ = kept(tmp_path, vendor, f"{LOOPBACK}:{old.port}", f"{LOOPBACK}:{new.port}")
        lines = lines.replace("SECRET", KEY.secret)
        old.kill()
        paste(old, vendor, lines)
        old.child = Child(old.command(), old.directory / "log")
        if vendor == "knot":
            wait_for(lambda: old.serial(ZONE) is not None, 30, "Knot", explain=old.explain)
            old.run("knotc", "-c", str(old.directory / "knot.conf"), "zone-retransfer", ZONE)
        if vendor == "pdns":
            home = f"--config-dir={old.directory}"
            wait_for(lambda: old.serial(ZONE) is not None, 30, "PowerDNS", explain=old.explain)
            old.run("pdns_control", f"--socket-dir={old.directory}", home, "retrieve", ZONE)
        wait_for(lambda: old.serial(ZONE) == 5, 30, f"{vendor} to take the new version", explain=old.explain)


def paste(peer: Primary, vendor: str, lines: str) -> None:
    """The zone's part of its configuration becomes what was to be pasted."""
    [path] = [each for each in peer.directory.iterdir() if each.suffix == ".conf"]
    before = path.read_text()
    if vendor == "bind":
        path.write_text(before[: before.index('zone "')] + lines)
    elif vendor in ("nsd", "knot"):
        path.write_text(before[: before.index("zone:\n")] + lines)
    else:
        path.write_text(before + "secondary=yes\nxfr-cycle-interval=1\n")
        for line in lines.splitlines():
            if line.startswith("# pdnsutil"):
                command, *words = line.removeprefix("# ").split()
                peer.run(command, f"--config-dir={peer.directory}", *words)


@pytest.mark.parametrize(
    ("vendor", "checker"),
    [("bind", ["named-checkconf"]), ("knot", ["knotc", "-c", "FILE", "conf-check"]), ("nsd", ["nsd-checkconf"])],
)
def test_the_servers_own_checker_takes_what_is_pasted(vendor: str, checker: list[str], tmp_path: Path):
    requires(checker[0])
    lines, told = kept(tmp_path, vendor, "192.0.2.1", "[2001:db8::1]:53")
    file = tmp_path / "pasted.conf"
    file.write_text(lines.replace("SECRET", KEY.secret))
    words = [str(file) if word == "FILE" else word for word in checker]
    command = [program(checker[0]) or "", *words[1:], *([] if "FILE" in checker else [str(file)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + file.read_text()
    assert KEY.secret not in told


def test_ours_takes_it_too_and_the_new_side_has_its_half(tmp_path: Path):
    lines, _ = kept(tmp_path, "nameserver", "192.0.2.1", "[2001:db8::1]:53")
    (tmp_path / f"{KEY.name}.secret").write_text(f"{KEY.secret}\n")
    os.chmod(tmp_path / f"{KEY.name}.secret", 0o600)
    path = tmp_path / "nameserver.toml"
    path.write_text(f'[server]\nstate-dir = "{tmp_path}"\ncontrol = "{tmp_path}/c"\n{lines}')
    done = nameserver("check-config", "-c", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    both, _ = kept(tmp_path, "nsd", "192.0.2.1", "192.0.2.2", "--new-software", "bind", "--new-key", KEY.name)
    assert "  request-xfr: 192.0.2.2@53 transfer-key" in both
    assert 'also-notify { 192.0.2.1 port 53 key "transfer-key"; };' in both
