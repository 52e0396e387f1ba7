"""A move from its plan to its end, between real servers under a real parent, each phase entered when its gate opened.

The times are shortened to seconds; what opens the gates is measured, as it is with days.
"""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from support.ask import Key
from support.commands import nameserver
from support.internet import Internet, soa

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

ROOT, TLD, OLD, NEW = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.6.4"
ZONE = "shop.example."
KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")


def text(serial: int, ttl: int, names: tuple[str, ...]) -> str:
    servers = "".join(f"@ NS {name}\n" for name in names)
    return f"$TTL {ttl}\n{soa(ZONE, serial, ttl, ttl)}{servers}old A {OLD}\nnew A {NEW}\nwww A 192.0.2.1\n"


def tld(names: tuple[str, ...]) -> str:
    servers = "".join(f"shop 1 NS {name}.shop\n" for name in names)
    return f"$TTL 1\n{soa('example.')}@ NS ns\nns A {TLD}\n{servers}old.shop A {OLD}\nnew.shop A {NEW}\n"


@pytest.fixture
def world() -> Iterator[Internet]:
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
    servers = {
        ROOT: {".": f"$TTL 3600\n{soa('.')}{top}"},
        TLD: {"example.": tld(("old",))},
        OLD: {ZONE: text(1, 2, ("old",))},
        NEW: {ZONE: text(1, 2, ("new",))},
    }
    with Internet(servers, [KEY], {OLD: "any", NEW: "any"}) as net:
        yield net


@pytest.fixture
def counted() -> Iterator[SimpleNamespace]:
    """A page of metrics such as the old side has; `count` is what it says."""
    state = SimpleNamespace(count=5)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            name = "nameserver_zone_queries_total"
            lines = [
                "process_start_time_seconds 1000",
                f'{name}{{zone="shop.example",kind="normal"}} {state.count}',
                f'{name}{{zone="shop.example",kind="control"}} {time.time()}',
            ]
            self.wfile.write("\n".join([*lines, ""]).encode())

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/metrics"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_phase_is_entered_when_its_gate_opens_and_not_before(
    world: Internet, counted: SimpleNamespace, tmp_path: Path
):
    old, new = f"{OLD}:{world.port}", f"{NEW}:{world.port}"
    common = ["shop.example", "--state", str(tmp_path / "move.json"), *world.arguments, "--timeout", "1"]

    def run(verb: str, *words: str) -> tuple[int, dict]:
        done = nameserver("migrate", verb, *common, *words, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def closed(*gates: str) -> None:
        """The gate is closed, for these reasons among others, and `advance` does not go on."""
        code, report = run("advance")
        assert code == 1, report
        assert set(gates) <= {finding["code"] for finding in report["findings"]}, report["findings"]

    def until_open(name: str, *words: str) -> dict:
        deadline = time.monotonic() + 60
        while True:
            code, report = run("advance", *words)
            if code == 0:
                assert report["facts"]["phase"] == name
                return report
            assert time.monotonic() < deadline, report["findings"]
            time.sleep(0.3)

    short = ["--target", "1", "--floor", "1", "--keep", "1", "--quiet", "1", "--metrics", counted.url]
    code, report = run(
        "plan", "--old", old, "--new", new, "--new-ns", "new.shop.example", *short, "--ics", str(tmp_path / "i")
    )
    assert code == 0, report
    assert (tmp_path / "i").read_bytes().startswith(b"BEGIN:VCALENDAR\r\n")

    # plan → lower-ttl: there is no way back yet
    closed("snapshot/no-snapshot")
    words = ["migrate", "snapshot", "shop.example", f"@{old}", "-o", str(tmp_path / "zones"), *world.arguments]
    assert nameserver(*words).returncode == 0
    until_open("lower-ttl")

    # lower-ttl → parallel: the TTLs are 2 s, 1 is wanted, and twice the old ones has to run out
    closed("ttl/ttl-high")
    world.servers[OLD].change(ZONE, text(2, 1, ("old",)))
    closed("ttl/too-early")
    until_open("parallel")

    # parallel → cutover: the new side has what it had, and names itself alone
    closed("parity/ttl-drift", "overlap/ns-mismatch")
    for address in (OLD, NEW):
        world.servers[address].change(ZONE, text(3, 1, ("old", "new")))
    until_open("cutover")

    # cutover → decommission: only when every server of the parent names the new side
    closed("delegation/straggler")
    code, report = run("rollback")
    assert code == 0
    assert "  old.shop.example" in report["lines"]
    world.servers[TLD].change("example.", tld(("new",)))
    for address in (OLD, NEW):
        world.servers[address].change(ZONE, text(4, 1, ("new",)))
    until_open("decommission")
    assert run("verify")[0] == 0

    # decommission → done: somebody still asks the old side, then nobody does
    code, report = run("decommission")
    assert code == 1
    counted.count += 1
    assert nameserver("migrate", "advance", *common).returncode == 2  # the way back may go with it: say so
    code, report = run("advance", "--final")
    assert (code, "quiet/still-asked" in {each["code"] for each in report["findings"]}) == (1, True)
    report = until_open("done", "--final")
    assert report["verdict"] == "Entered done."
    code, report = run("decommission")
    assert (code, report["verdict"][:4]) == (0, "SAFE")
    (trial,) = [each for each in report["findings"] if each["code"] == "trial"]  # what is counted, ours counts
    assert "nameserver pause shop.example; " in trial["next_step"] and "resume shop.example." in trial["next_step"]
    state = json.loads((tmp_path / "move.json").read_text())
    assert [entry["entered"] for entry in state["log"] if "entered" in entry] == [
        "lower-ttl", "parallel", "cutover", "decommission", "done",
    ]  # fmt: skip


def test_an_override_is_recorded_with_its_reason_and_a_rollback_too(world: Internet, tmp_path: Path):
    words = ["shop.example", "--state", str(tmp_path / "move.json"), *world.arguments, "--timeout", "1"]
    sides = ["--old", f"{OLD}:{world.port}", "--new", f"{NEW}:{world.port}"]
    assert nameserver("migrate", "plan", *words, *sides).returncode == 0
    assert nameserver("migrate", "plan", *words, *sides).returncode == 2  # there is one already
    assert nameserver("migrate", "advance", *words, "--override", " ").returncode == 2
    done = nameserver("migrate", "advance", *words, "--override", "we have a copy elsewhere")
    assert done.returncode == 0, done.stdout
    assert "entered over closed gates (snapshot/no-snapshot): we have a copy elsewhere" in done.stdout
    done = nameserver("migrate", "rollback", *words, "--done", "changed our minds")
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads((tmp_path / "move.json").read_text())
    assert state["phase"] == "plan"
    assert [entry.get("override") or entry.get("reason") for entry in state["log"]] == [
        "we have a copy elsewhere",
        "changed our minds",
    ]


def test_the_gate_says_go_or_no_with_one_exit_code_and_one_digest(world: Internet, tmp_path: Path):
    sides = ["--old", f"{OLD}:{world.port}", "--new", f"{NEW}:{world.port}"]
    words = ["migrate", "gate", "shop.example", *sides, *world.arguments, "--timeout", "1", "--target", "2"]
    out = tmp_path / "report.md"
    no = nameserver(*words, "--json", "--output", str(out))
    report = json.loads(no.stdout)
    assert no.returncode == 1
    assert {"parity/missing", "overlap/ns-mismatch"} <= {finding["code"] for finding in report["findings"]}
    assert report["verdict"].startswith("NO GO: closed: parity")
    assert report["digest"] in out.read_text()
    # Both sides name both, the parent still the old one alone: the state that a cut-over begins from.
    for address in (OLD, NEW):
        world.servers[address].transfer = KEY.name
        world.servers[address].change(ZONE, text(3, 2, ("old", "new")))
    (tmp_path / "key").write_text(f'key "{KEY.name}" {{ algorithm {KEY.algorithm}; secret "{KEY.secret}"; }};\n')
    (tmp_path / "key").chmod(0o600)
    unsigned = nameserver(*words)
    for side in ("old", "new"):
        words += [f"--{side}-key", KEY.name, f"--{side}-key-file", str(tmp_path / "key")]
    named = ["--new-ns", "new.shop.example"]
    unaged = nameserver(*words, *named)
    aging = [*words, "--baseline", str(tmp_path / "zones"), "--lowered-at", "2126-01-01T00:00:00Z", "--json"]
    key = ["--key", KEY.name, "--key-file", str(tmp_path / "key")]
    taking = ["shop.example", f"@{OLD}:{world.port}", "-o", str(tmp_path / "zones"), "--no-parent", *key]
    assert nameserver("migrate", "snapshot", *taking).returncode == 0
    one, two = (json.loads(nameserver(*aging).stdout) for _ in range(2))
    go = nameserver(*words, *named, "--baseline", str(tmp_path / "zones"))
    nameless = nameserver(*words, "--baseline", str(tmp_path / "zones"))
    waits = [finding["text"] for finding in one["findings"] if finding["code"] == "ttl/too-early"]
    assert ", in 36" in waits[0]
    assert one["digest"] == two["digest"]
    assert unsigned.returncode == 1  # without the key parity cannot be proven
    assert go.returncode == 0, go.stdout
    assert go.stdout.splitlines()[-1] == "GO: every gate is open."
    assert "warning (ttl/age-unknown)" in go.stdout  # the snapshot has no TTL above the target
    assert (unaged.returncode, "fault (ttl/age-unknown)" in unaged.stdout) == (1, True)
    assert (nameless.returncode, "fault (overlap/no-new-ns)" in nameless.stdout) == (1, True)


def test_a_second_new_server_with_other_contents_closes_the_gate():
    third = "127.0.6.5"
    same, other = text(3, 2, ("old",)), text(3, 2, ("old",)).replace("192.0.2.1", "192.0.2.7")
    servers = {OLD: {ZONE: same}, NEW: {ZONE: same}, third: {ZONE: other}}
    with Internet(servers, (), dict.fromkeys(servers, "any")) as net:
        new = [f"{address}:{net.port}" for address in (NEW, third)]
        words = ["--old", f"{OLD}:{net.port}", "--new", *new, *net.arguments, "--timeout", "0.3", "--json"]
        done = nameserver("migrate", "gate", "shop.example", *words)
    assert {"parity/missing", "parity/extra"} <= {each["code"] for each in json.loads(done.stdout)["findings"]}
