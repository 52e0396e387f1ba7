"""`migrate exposure` and `migrate check` against real servers that are open, closed, wrong or half reachable."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ask import Key
from support.commands import nameserver
from support.internet import Internet, soa
from support.peers import PRIMARIES, requires
from support.process import skewed_clock
from support.raw import LOOPBACK

pytestmark = pytest.mark.interop

HOST = "127.0.5.3"
KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
OTHER = Key("transfer-key", "ZZZZREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
TEXT = "$TTL 300\n" + soa("shop.example.", 5) + "@ NS ns1\nns1 A 192.0.2.53\nwww A 192.0.2.1\n"


def key_file(directory: Path, key: Key) -> list[str]:
    path = directory / "key"
    path.write_text(f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n')
    path.chmod(0o600)
    return ["--key", key.name, "--key-file", str(path)]


@contextmanager
def relay(port: int, to: tuple[str, int]) -> Iterator[None]:
    """Datagrams to `port` go on to a server and its answers back; nothing else gets through."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back,
    ):
        front.bind((LOOPBACK, port))
        back.settimeout(2)
        ended = threading.Event()

        def run() -> None:
            while True:
                data, sender = front.recvfrom(65535)
                if ended.is_set():
                    return
                back.sendto(data, to)
                front.sendto(back.recv(65535), sender)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            back.sendto(b"", front.getsockname())
            thread.join()


def net(transfer: str) -> Internet:
    return Internet({HOST: {"shop.example.": TEXT}}, [KEY], {HOST: transfer})


@pytest.mark.parametrize(("transfer", "code"), [("any", 1), ("transfer-key", 0), ("none", 0)])
def test_a_zone_that_anybody_can_have_is_found(transfer: str, code: int):
    with net(transfer) as world:
        done = nameserver("migrate", "exposure", "shop.example", f"@{HOST}:{world.port}", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == code, done.stdout
    assert {finding["code"] for finding in report["findings"]} == ({"open-transfer"} if code else set())
    assert report["measured"]["vantage"]


@pytest.mark.parametrize("name", sorted(PRIMARIES))
def test_the_four_peers_are_closed_to_whoever_has_no_key(name: str):
    kind = PRIMARIES[name]
    requires(*kind.programs)
    with kind({"shop.example": TEXT}, transfer_key=KEY).start() as peer:
        done = nameserver("migrate", "exposure", "shop.example", f"@{LOOPBACK}:{peer.port}")
    assert done.returncode == 0, done.stdout
    assert "handed out" not in done.stdout


def test_nobody_answering_is_exit_code_3():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((LOOPBACK, 0))
        where = f"@{LOOPBACK}:{closed.getsockname()[1]}"
        for verb in ("exposure", "check"):
            done = nameserver("migrate", verb, "shop.example", where, "--timeout", "0.2")
            assert done.returncode == 3, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(PRIMARIES))
def test_a_good_way_is_good_at_every_step(name: str, tmp_path: Path):
    kind = PRIMARIES[name]
    requires(*kind.programs)
    text = TEXT + f'@ TXT "{"x" * 250}" "{"y" * 250}" "{"z" * 250}"\n'
    text += "".join(f"@ MX {number} {'m' * 40}{number}\n" for number in range(40))
    with kind({"shop.example": text}, transfer_key=KEY).start() as peer:
        good = nameserver("migrate", "check", "shop.example", f"@{LOOPBACK}:{peer.port}", *key_file(tmp_path, KEY))
        wrong = nameserver(
            "migrate", "check", "shop.example", f"@{LOOPBACK}:{peer.port}", *key_file(tmp_path, OTHER), "--json"
        )
    assert good.returncode == 0, good.stdout
    assert "Every step is good: the zone can be transferred, signed with transfer-key." in good.stdout
    [finding, *_] = json.loads(wrong.stdout)["findings"]
    assert wrong.returncode == 1
    # PowerDNS answers each fault of a signature with the same unsigned NOTAUTH.
    assert finding["code"] == ("notauth-zone" if name == "pdns" else "tsig-badsig")


def test_what_no_answer_of_the_zone_is_large_enough_to_show_is_not_claimed(tmp_path: Path):
    kind = PRIMARIES["knot"]
    requires(*kind.programs)
    with kind({"shop.example": TEXT}, transfer_key=KEY).start() as peer:
        words = ["migrate", "check", "shop.example", f"@{LOOPBACK}:{peer.port}", *key_file(tmp_path, KEY)]
        done = nameserver(*words, "--json")
    report = json.loads(done.stdout)
    [steps] = report["facts"]["servers"].values()
    assert done.returncode == 0, report
    assert {name: steps[name] for name in steps if name.startswith("EDNS")} == {
        "EDNS 512": "good",
        "EDNS 1232": "not proven",
        "EDNS 4096": "not proven",
    }
    octets = re.search(r"proven to come through up to (\d+) octets\.$", report["verdict"])
    assert octets, report["verdict"]
    assert 256 < int(octets[1]) <= 512


@pytest.mark.parametrize("skew", [-400, 400])
def test_a_clock_that_is_off_is_told_in_seconds_and_direction(skew: int, tmp_path: Path):
    kind = PRIMARIES["bind"]
    requires(*kind.programs)
    with kind({"shop.example": TEXT}, transfer_key=KEY).start() as peer:
        words = ["shop.example", f"@{LOOPBACK}:{peer.port}", *key_file(tmp_path, KEY)]
        done = nameserver("migrate", "check", *words, environment=skewed_clock(tmp_path, -skew))
    assert done.returncode == 1
    assert "tsig-badtime" in done.stdout
    direction = "ahead of" if skew > 0 else "behind"
    assert any(f"{abs(skew) + off} s {direction} us" in done.stdout for off in (-2, -1, 0, 1, 2)), done.stdout


def test_without_a_key_where_one_is_needed_the_answer_is_refused():
    with net("transfer-key") as world:
        done = nameserver("migrate", "check", "shop.example", f"@{HOST}:{world.port}")
    assert done.returncode == 1
    assert "AXFR, first message" in done.stdout
    assert "refused" in done.stdout


def test_a_zone_that_would_not_outlive_a_week_without_its_primary_is_warned_of():
    with Internet({HOST: {"shop.example.": TEXT.replace("1209600", "86400")}}, (), {HOST: "any"}) as world:
        done = nameserver("migrate", "check", "shop.example", f"@{HOST}:{world.port}", "--json")
    [finding] = [each for each in json.loads(done.stdout)["findings"] if each["level"] != "note"]
    assert (done.returncode, finding["level"], finding["code"]) == (0, "warning", "soa-timer")
    assert "86400 s" in finding["text"]


def test_udp_that_answers_where_tcp_does_not_is_a_firewall():
    with net("any") as world, socket.socket() as dropped:
        # The same answers over UDP, from a port on whose TCP side nobody accepts.
        dropped.bind((LOOPBACK, 0))
        with relay(dropped.getsockname()[1], (HOST, world.port)):
            done = nameserver(
                "migrate", "check", "shop.example", f"@{LOOPBACK}:{dropped.getsockname()[1]}", "--timeout", "1"
            )
    assert done.returncode == 1
    assert "UDP answers, TCP does not: firewall." in done.stdout, done.stdout
