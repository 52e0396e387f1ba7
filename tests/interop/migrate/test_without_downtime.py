"""Whole moves, BIND to Knot and to PowerDNS, under a real parent and through a real resolver asked all the while.

Every 50 ms unbound is asked for a name of the zone: none of the questions may fail, and none may be answered with what
was before for longer than its TTL allows. Then the move is taken back, likewise.
"""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import netns
from support.internet import soa
from support.peers import requires
from support.separate_internet import KEY, NEW, OLD, RESOLVER, ZONE, Answer, SeparateInternet, ask_resolver
from support.wait import wait_for

from nameserver.migrate.move import phases

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

OLD_TTL, TTL, PARENT_TTL = 3, 1, 2
SLACK = 1.5  # seconds beyond a TTL, for a resolver counts whole ones and this machine is busy


def text(serial: int, ttl: int, names: tuple[str, ...], version: int = 1) -> str:
    servers = "".join(f"@ NS {name}\n" for name in names)
    body = f"old A {OLD}\nnew A {NEW}\nwww A 192.0.2.1\nversion TXT v{version}\n"
    body += "*.apps CNAME www\n@ MX 10 mail\nmail A 192.0.2.2\n"
    return f"$TTL {ttl}\n{soa(ZONE, serial, ttl, ttl)}{servers}{body}"


class Watch:
    """Somebody who asks the resolver all the while, from within the network."""

    def __init__(self, net: SeparateInternet) -> None:
        self.answers: list[Answer] = []
        self._net = net
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: net.network.call(self._ask))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.05):
            self.answers.append(ask_resolver("version", "TXT"))

    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.problem]

    def stale(self, version: int, since: float) -> list[Answer]:
        """Answers of an older version, begun later than the TTL of what was cached allows."""
        return [
            answer
            for answer in self.answers
            if answer.at > since + OLD_TTL + SLACK and answer.texts and int(answer.texts[0].strip('"v')) < version
        ]


class Move:
    """The commands, in the network."""

    def __init__(self, net: SeparateInternet, directory: Path) -> None:
        self.net = net
        self.directory = directory
        (directory / "key").write_text(f'key "{KEY.name}" {{ algorithm {KEY.algorithm}; secret "{KEY.secret}"; }};\n')
        (directory / "key").chmod(0o600)
        self.words = [ZONE, "--root-hints", str(net.hints), "-4", "--timeout", "1"]
        for side in ("old", "new"):
            self.words += [f"--{side}-key", KEY.name, f"--{side}-key-file", str(directory / "key")]

    def run(self, verb: str, *words: str) -> tuple[int, dict]:
        state = ["--state", str(self.directory / "move.json")]
        done = self.net.run("migrate", verb, *self.words, *state, *words, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def snapshot(self) -> None:
        key = ["--key", KEY.name, "--key-file", str(self.directory / "key")]
        words = [f"@{OLD}", "-o", str(self.directory / "zones"), "--root-hints", str(self.net.hints), "-4", *key]
        done = self.net.run("migrate", "snapshot", ZONE, *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def refused(self) -> None:
        code, report = self.run("advance")
        assert code == 1, report["verdict"]

    def until(self, phase: str) -> None:
        deadline = time.monotonic() + 60
        while (outcome := self.run("advance"))[0] != 0:
            assert time.monotonic() < deadline, outcome[1]["findings"]
            time.sleep(0.3)
        assert outcome[1]["facts"]["phase"] == phase


def test_a_zone_moves_on_to_powerdns_from_where_the_ttls_are_low(tmp_path: Path):
    requires("named", "nsd", "nsd-control", "pdns_server", "unbound")
    if why := netns.why_not():
        pytest.skip(why)
    with SeparateInternet(text(1, TTL, ("old",)), PARENT_TTL, new="pdns") as net, Watch(net) as watch:
        move = Move(net, tmp_path)
        move.snapshot()
        state = phases.State("shop.example", [OLD], [NEW], "zones", ["old.shop.example"], ["new.shop.example"])
        state = replace(state, phase="parallel", target_ttl=TTL, floor=1.0, keep=1.0, resolvers=[RESOLVER])
        phases.write(tmp_path / "move.json", replace(state, seen={"ttl-lowered": time.time()}))
        net.edit(text(2, TTL, ("old", "new")))
        move.until("cutover")
        net.delegate_to("new")
        net.edit(text(3, TTL, ("new",), version=2))
        changed = time.monotonic()
        move.until("decommission")
        code, report = move.run("verify")
        assert code == 0, report["findings"]
        # at the latest when what was cached before has run out
        wait_for(lambda: net.resolve("version", "TXT").texts == ('"v2"',), TTL + 5, "the resolver to ask the new side")
    assert not watch.failures(), (watch.failures()[:5], len(watch.answers))
    assert not watch.stale(2, changed), watch.stale(2, changed)[:5]


def test_a_zone_moves_from_bind_to_knot_and_back_while_a_resolver_is_asked(tmp_path: Path):
    requires("named", "nsd", "nsd-control", "knotd", "unbound")
    if why := netns.why_not():
        pytest.skip(why)
    with SeparateInternet(text(1, OLD_TTL, ("old",)), PARENT_TTL) as net, Watch(net) as watch:
        move = Move(net, tmp_path)
        short = ["--target", str(TTL), "--floor", "1", "--keep", "1", "--resolvers", RESOLVER]
        code, report = move.run("plan", "--old", OLD, "--new", NEW, "--new-ns", "new.shop.example", *short)
        assert code == 0, report
        move.snapshot()
        move.until("lower-ttl")

        net.edit(text(2, TTL, ("old",)))
        move.refused()
        move.until("parallel")
        move.refused()  # the two sides do not name the same servers
        net.edit(text(3, TTL, ("old", "new")))
        move.until("cutover")

        net.delegate_to("new")
        net.edit(text(4, TTL, ("new",)))
        move.until("decommission")
        changed = time.monotonic()
        net.edit(text(5, TTL, ("new",), version=2))
        code, report = move.run("verify")
        assert code == 0, report["findings"]
        time.sleep(OLD_TTL + SLACK + 0.5)
        assert net.resolve("version", "TXT").texts == ('"v2"',)

        code, report = move.run("rollback")
        assert "  old.shop.example" in report["lines"]
        net.edit(text(6, TTL, ("old", "new"), version=2))
        net.delegate_to("old")
        net.edit(text(7, TTL, ("old",), version=3))
        taken_back = time.monotonic()
        code, report = move.run("rollback", "--done", "the exercise is over")
        assert code == 0
        time.sleep(PARENT_TTL + OLD_TTL + SLACK + 0.5)
        assert net.resolve("version", "TXT").texts == ('"v3"',)
    assert len(watch.answers) > 100
    assert not watch.failures(), (watch.failures()[:5], len(watch.answers))
    assert not watch.stale(2, changed), watch.stale(2, changed)[:5]
    assert not watch.stale(3, taken_back), watch.stale(3, taken_back)[:5]
