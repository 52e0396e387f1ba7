"""Answers that vary, from a real server that steers: PowerDNS with a LUA record, which picks one of two addresses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ask import Key
from support.commands import nameserver
from support.internet import Internet, soa
from support.peers import PdnsPrimary, requires

pytestmark = pytest.mark.interop

NEW, ZONE = "127.0.5.4", "shop.example"
KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
BODY = "@ NS ns1\nns1 A 192.0.2.53\nplain A 192.0.2.9\n"
PICK = "pickrandom({'192.0.2.1','192.0.2.2'})"
RDATA = b"\0\1" + bytes([len(PICK)]) + PICK.encode()  # the type that is steered, then the program
OFTEN = ("--repeat", "24")  # all the same once in eight million runs


class Steering(PdnsPrimary):
    """PowerDNS that runs the programs in its zones."""

    def configure(self) -> None:
        super().configure()
        path = self.directory / "pdns.conf"
        path.write_text(f"{path.read_text()}enable-lua-records=yes\n")


@pytest.fixture
def old(request: pytest.FixtureRequest) -> Iterator[Steering]:
    requires(*Steering.programs)
    text = f'$TTL 300\n{soa(f"{ZONE}.", 5)}{BODY}www LUA A "{PICK}"\n'
    with Steering({ZONE: text}, [KEY], transfer_key=getattr(request, "param", None)) as peer:
        peer.start()
        yield peer


def new(line: str) -> Internet:
    return Internet({NEW: {f"{ZONE}.": f"$TTL 300\n{soa(f'{ZONE}.', 5)}{BODY}{line}\n"}}, (), {NEW: "any"})


def test_the_inventory_warns_of_answers_that_vary_and_names_the_providers_type(old: Steering):
    done = nameserver("migrate", "inventory", ZONE, f"@127.0.0.1:{old.port}", *OFTEN, "--json")
    found = {each["code"]: each["text"] for each in json.loads(done.stdout)["findings"] if each["level"] == "warning"}
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LUA" in found["provider-type"]
    assert found["varies"].endswith("www.shop.example. A: 192.0.2.1 | 192.0.2.2")


def test_two_transfers_that_are_equal_prove_nothing_where_one_side_makes_its_answers_up(old: Steering):
    with new(f"www TYPE65402 \\# {len(RDATA)} {RDATA.hex()}") as net:
        sides = ["--old", f"127.0.0.1:{old.port}", "--new", f"{NEW}:{net.port}"]
        done = nameserver("migrate", "compare", ZONE, *sides, *OFTEN, "--json")
        once = nameserver("migrate", "compare", ZONE, *sides, "--repeat", "1", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["lines"]) == (1, [])
    assert [each["code"] for each in report["findings"] if each["level"] == "fault"] == ["varies"]
    assert report["verdict"] == "ANSWERS VARY where the same was asked: do not proceed"
    report = json.loads(once.stdout)  # one answer cannot vary, and yet is none of what was transferred
    assert (once.returncode, report["verdict"]) == (1, "ANSWERS ARE NOT WHAT IS TRANSFERRED: do not proceed")
    assert "transferred nothing" in report["findings"][0]["text"]


@pytest.mark.parametrize("old", [KEY], indirect=True)
def test_what_varies_where_a_side_is_only_asked_is_told_and_not_a_random_difference(old: Steering, tmp_path: Path):
    with new("www A 192.0.2.1") as net:
        sides = ["--old", f"127.0.0.1:{old.port}", "--new", f"{NEW}:{net.port}"]
        done = nameserver("migrate", "compare", ZONE, *sides, *OFTEN, "--accept-partial", "--json")
    (tmp_path / "names").write_text("@ NS\nwww A\n")
    names = ["--names", str(tmp_path / "names"), "-o", str(tmp_path), "--no-parent"]
    taken = nameserver("migrate", "snapshot", ZONE, f"@127.0.0.1:{old.port}", *names, *OFTEN)
    report = json.loads(done.stdout)
    assert (done.returncode, report["lines"]) == (1, [])
    faults = {each["code"] for each in report["findings"] if each["level"] == "fault"}
    assert faults == {"varies"}
    assert report["verdict"].startswith("ANSWERS VARY")
    assert "warning (varies): " in taken.stdout, taken.stderr
