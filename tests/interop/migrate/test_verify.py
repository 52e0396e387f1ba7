"""After the cut-over: what `verify` judges while the old side goes, and when answers come and go."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dns.message
import dns.query
import pytest
from support import ask
from support.ask import LOOPBACK
from support.commands import nameserver
from support.daemon import Nameserver
from support.internet import Internet, soa
from support.wait import wait_for

from nameserver.cli.migrate.moving import metrics_of
from nameserver.migrate.checks.query_counts import read_page
from nameserver.migrate.move import phases
from nameserver.migrate.move.phases import State

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ROOT, TLD, OLD, NEW, SECOND = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.6.4", "127.0.6.5"
ZONE = "shop.example."
TEXT = f"$TTL 300\n{soa(ZONE, 7)}@ NS new\n@ NS second\nnew A {NEW}\nsecond A {SECOND}\nwww A 192.0.2.1\n"


@pytest.fixture
def world() -> Iterator[Internet]:
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
    names = f"shop NS new.shop\nshop NS second.shop\nnew.shop A {NEW}\nsecond.shop A {SECOND}\n"
    servers = {
        ROOT: {".": f"$TTL 3600\n{soa('.')}{top}"},
        TLD: {"example.": f"$TTL 300\n{soa('example.')}@ NS ns\nns A {TLD}\n{names}"},
        **{address: {ZONE: TEXT} for address in (OLD, NEW, SECOND)},
    }
    with Internet(servers, (), dict.fromkeys((OLD, NEW, SECOND), "any")) as net:
        yield net


@pytest.fixture
def application() -> Iterator[str]:
    """An application's address: /fine, /moved, which leads nowhere, and /gateway."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/fine": 200, "/moved": 301}.get(self.path, 502))
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def words(net: Internet, directory: Path, phase: str) -> list[str]:
    """The command for a move in that phase, whose delegation was changed an hour ago."""
    old, new = ([f"{address}:{net.port}" for address in side] for side in ((OLD,), (NEW, SECOND)))
    names = ["new.shop.example", "second.shop.example"]
    state = State("shop.example", old, new, "zones", ["old.shop.example"], names, phase=phase)
    state = replace(state, seen={"delegated": time.time() - 3600})
    phases.write(directory / "move.json", state)
    return ["verify", "shop.example", "--state", str(directory / "move.json"), *net.arguments, "--timeout", "0.2"]


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = nameserver("migrate", *arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def codes(report: dict[str, Any], level: str) -> set[str]:
    return {each["code"] for each in report["findings"] if each["level"] == level}


def test_an_old_side_that_is_gone_fails_before_its_time_and_is_left_out_afterwards(world: Internet, tmp_path: Path):
    code, report = verify(*words(world, tmp_path, "parallel"))
    assert (code, "before-cutover" in codes(report, "warning")) == (0, True), report["findings"]
    world.servers[OLD].stop()

    code, report = verify(*words(world, tmp_path, "cutover"))
    assert (code, {each.split("/")[0] for each in codes(report, "fault")}) == (1, {"parity", "dnssec"})

    just_now = words(world, tmp_path, "decommission")
    state = phases.read(tmp_path / "move.json")
    phases.write(tmp_path / "move.json", replace(state, seen={"delegated": time.time() - 10}))
    code, report = verify(*just_now)
    assert (code, codes(report, "fault")) == (1, {"old side/old-gone-early"})

    code, report = verify(*words(world, tmp_path, "decommission"))
    assert (code, report["verdict"]) == (0, "Everything is as it was, at the new side alone."), report["findings"]
    assert "old side/old-gone" in codes(report, "note")


def test_the_new_side_is_still_judged_when_the_old_one_is_gone(world: Internet, tmp_path: Path):
    world.servers[OLD].stop()
    world.servers[SECOND].change(ZONE, TEXT.replace("192.0.2.1", "192.0.2.9"))
    code, report = verify(*words(world, tmp_path, "done"))
    assert (code, codes(report, "fault")) == (1, {"parity/missing", "parity/extra", "parity/same-serial-differs"})


def test_the_application_behind_the_names_is_asked_too(world: Internet, tmp_path: Path, application: str):
    command = [*words(world, tmp_path, "done"), "--then-http", f"{application}/moved", f"{application}/fine"]
    code, report = verify(*command)
    assert code == 0, report["findings"]
    code, report = verify(*command, f"{application}/gateway", "http://127.0.0.1:9/")
    assert (code, codes(report, "fault")) == (1, {"http/http-gateway", "http/http"})


def test_a_server_that_fails_for_a_while_is_found_by_asking_again_and_ctrl_c_tells_what_was_found(
    world: Internet, tmp_path: Path
):
    command = [*words(world, tmp_path, "done"), "--repeat", "100ms", "--rounds", "1000", "--json"]
    command += ["--append", str(tmp_path / "log.md")]
    child = subprocess.Popen(
        [sys.executable, "-m", "nameserver", "migrate", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None

    def until(good: bool) -> None:
        assert child.stderr is not None
        for line in child.stderr:
            assert line.startswith("round "), line
            if ("Everything is as it was" in line) == good:
                return
        pytest.fail("it ended")

    with child:
        until(good=True)
        world.servers[SECOND].stop()
        until(good=False)
        world.servers[SECOND].start()
        until(good=True)
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=30)
    report = json.loads(told)
    assert child.returncode == 1
    assert 0 < len(report["facts"]["failed"]) < report["facts"]["rounds"]
    stopped = [each["text"] for each in report["findings"] if each["code"] == "stopped"]
    assert stopped == [f"stopped after {report['facts']['rounds']} of 1000 rounds"]
    texts = [each["text"] for each in report["findings"] if each["code"].startswith("serials/")]
    assert any("rounds: new 127.0.6.5" in text for text in texts), texts
    assert (tmp_path / "log.md").read_text().count("# verify shop.example") == report["facts"]["rounds"]
    log = phases.read(tmp_path / "move.json").log
    assert {entry["verified"] for entry in log} == {True, False}


def test_our_own_server_as_the_old_side_counts_users_and_not_what_these_commands_ask(world: Internet, tmp_path: Path):
    (tmp_path / "zone").write_text(TEXT)
    zone = f'[zone."shop.example"]\ntype = "primary"\nfile = "{tmp_path}/zone"\n'
    with Nameserver(extra=zone, open_transfers=True) as old:
        old.configure()
        old.start()
        wait_for(lambda: ask.serial(old.port, "shop.example") == 7, 30, "the zone", explain=old.explain)
        verb, *more = words(world, tmp_path, "decommission")
        state = phases.read(tmp_path / "move.json")
        page = f"http://{LOOPBACK}:{old.http_port}/metrics"
        state = replace(state, old=[f"{LOOPBACK}:{old.port}"], metrics=page, keep=1.0, quiet=0.1)
        phases.write(tmp_path / "move.json", state)

        code, report = verify("decommission", *more)
        assert (code, codes(report, "fault")) == (1, {"quiet/not-yet"}), report["findings"]
        code, report = verify(verb, *more)
        assert code == 0, report["findings"]
        code, report = verify("decommission", *more)
        assert (code, report["verdict"].split(":")[0]) == (0, "SAFE"), report["findings"]

        fetch = metrics_of(state)
        assert fetch is not None
        before = read_page(fetch()[0], "shop.example").count
        dns.query.udp(dns.message.make_query("www.shop.example", "A"), LOOPBACK, port=old.port, timeout=5)
        wait_for(lambda: read_page(fetch()[0], "shop.example").count > before, 10, "the query to be counted")
        code, report = verify("decommission", *more)
        assert (code, codes(report, "fault")) == (1, {"quiet/still-asked"}), report["findings"]
        assert "clients-unknown" in codes(report, "note")
