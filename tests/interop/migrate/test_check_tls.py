"""`migrate check -c FILE` of a primary that is spoken to over TLS: who is there, and may we have the zone?"""

import json
import socket
from pathlib import Path

import pytest
from support.ask import LOOPBACK
from support.certificates import Authority, Issued, authority
from support.commands import nameserver
from support.daemon import new_key
from support.internet import soa
from support.peers import NsdPrimary, requires
from support.tls_peers import TlsBindPrimary

pytestmark = pytest.mark.interop

ZONE = "shop.example"
TEXT = "$TTL 300\n" + soa("shop.example.", 5) + "@ NS ns1\nns1 A 192.0.2.53\n"
KEY = new_key("transfer-key")


def config(directory: Path, port: int, tls: str, ours: Issued | None = None) -> list[str]:
    (directory / "ca.pem").write_text(authority().pem)
    more = ""
    if ours is not None:
        ours.write(directory, "client")
        more = 'certificate = "client.pem"\nkey = "client.key"\n'
    path = directory / "nameserver.toml"
    path.write_text(
        f'[server]\nlisten = ["127.0.0.1:53"]\nstate-dir = "{directory}"\ncontrol = "{directory}/c"\n'
        f'[key."{KEY.name}"]\nalgorithm = "{KEY.algorithm}"\nsecret = "{KEY.secret}"\n'
        f"[tls.up]\n{tls}\n{more}"
        f'[remote.primary-a]\naddress = ["{LOOPBACK}:{port}"]\nkey = "{KEY.name}"\ntls = "up"\n'
        f'[zone."{ZONE}"]\nprimaries = ["primary-a"]\n'
    )
    path.chmod(0o600)
    return ["-c", str(path), "--timeout", "3"]


GOOD = 'server-name = "primary.example.net"\nca = "ca.pem"'


def check(where: str, words: list[str]) -> tuple[int, dict]:
    done = nameserver("migrate", "check", ZONE, where, *words, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def bind(mutual: bool = False) -> TlsBindPrimary:
    requires(*TlsBindPrimary.programs)
    return TlsBindPrimary({ZONE: TEXT}, transfer_key=KEY, mutual=mutual)


def test_a_remote_of_the_configuration_is_asked_over_tls_with_its_key_and_nothing_in_plain(tmp_path: Path):
    with bind().start() as peer:
        words = config(tmp_path, peer.tls_port, GOOD)
        code, report = check("@primary-a", words)
        by_address, _ = check(f"@{LOOPBACK}:{peer.tls_port}", words)
        shown = nameserver("migrate", "check", ZONE, "@primary-a", *words)
    [steps] = report["facts"]["servers"].values()
    assert steps.pop("NOTIFY from it") == "unknown"  # no daemon of ours runs here
    assert (code, by_address) == (0, 0), report["findings"]
    assert steps == dict.fromkeys(("TLS", "SOA over TLS", "signed SOA", "AXFR, first message"), "good")
    assert report["verdict"].startswith("The zone can be transferred over TLS, signed with transfer-key; ")
    assert "its certificate is good until 20" in shown.stdout


@pytest.mark.parametrize(
    ("tls", "reason", "told"),
    [
        ('server-name = "other.example.net"\nca = "ca.pem"', "tls-peer-identity", "it shows a certificate whose key"),
        ('pin = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="', "tls-peer-identity", "it shows a certificate"),
    ],
)
def test_whoever_is_not_the_one_expected_is_named_by_the_key_that_it_shows_and_asked_nothing(
    tls: str, reason: str, told: str, tmp_path: Path
):
    with bind().start() as peer:
        code, report = check("@primary-a", config(tmp_path, peer.tls_port, tls))
        pin = peer.issued.pin
    [finding, *_] = report["findings"]
    assert (code, finding["code"]) == (1, reason)
    assert told in finding["text"]
    assert pin in finding["text"]
    assert [*report["facts"]["servers"].values()] == [{"TLS": reason, "NOTIFY from it": "unknown"}]


def test_a_certificate_of_ours_that_is_not_accepted_is_told_with_its_pin(tmp_path: Path):
    stranger = Authority("Nobody's CA").issue("client.example.net")
    with bind(mutual=True).start() as peer:
        code, report = check("@primary-a", config(tmp_path, peer.tls_port, GOOD, stranger))
        known, _ = check("@primary-a", config(tmp_path, peer.tls_port, GOOD, authority().issue("client.example.net")))
    [finding, *_] = report["findings"]
    assert (code, known) == (1, 0)
    assert finding["code"] in ("tls-handshake", "closed-early")
    assert stranger.pin in finding["next_step"]


@pytest.mark.parametrize("written", ["{host}:{port}", "{host}:{tls}", "primary-a"], ids=["address", "port", "name"])
def test_gates_have_the_zone_over_tls_where_the_configuration_says_so_and_ask_as_resolvers_ask(
    written: str, tmp_path: Path
):
    requires(*NsdPrimary.programs)
    with bind().start() as new, NsdPrimary({ZONE: TEXT}, transfer_key=KEY).start() as old:
        words = config(tmp_path, new.tls_port, GOOD)
        (tmp_path / "hints").write_text(f"{LOOPBACK}:{old.port}\n")
        where = written.format(host=LOOPBACK, port=new.port, tls=new.tls_port)
        sides = ["--old", f"{LOOPBACK}:{old.port}", "--new", where, "--old-key", KEY.name, "--port", str(new.port)]
        more = [*words, "--root-hints", str(tmp_path / "hints"), "--json"]
        done = nameserver("migrate", "gate", ZONE, *sides, *more)
        taken = nameserver("migrate", "inventory", ZONE, f"@{where}", "--port", str(new.port), "--no-parent", *words)
        named = [*words, "--new-key", KEY.name]
        plain = Path(words[1]).read_text().replace('tls = "up"\n', "")
        Path(words[1]).write_text(plain)
        refused = nameserver("migrate", "gate", ZONE, *sides, *named, *more[-3:])
    verdicts = json.loads(done.stdout)["measured"]["verdicts"]
    assert verdicts["path"] == "Every step is good: the zone can be transferred over TLS, signed with transfer-key."
    assert verdicts["parity"] == "ZONES MATCH: Proceed with cutover"
    assert verdicts["serials"] == "All 2 answers have serial 5."
    assert taken.returncode == 0, taken.stdout + taken.stderr
    if written == "{host}:{port}":  # in plain it hands out nothing
        assert "cannot be transferred" in json.loads(refused.stdout)["measured"]["verdicts"]["path"]


def test_who_is_not_the_one_expected_over_tls_opens_no_gate(tmp_path: Path):
    with bind().start() as new, NsdPrimary({ZONE: TEXT}, transfer_key=KEY).start() as old:
        words = config(tmp_path, new.tls_port, 'server-name = "other.example.net"\nca = "ca.pem"')
        (tmp_path / "hints").write_text(f"{LOOPBACK}:{old.port}\n")
        sides = [
            "--old",
            f"{LOOPBACK}:{old.port}",
            "--new",
            "primary-a",
            "--old-key",
            KEY.name,
            "--port",
            str(new.port),
        ]
        done = nameserver("migrate", "gate", ZONE, *sides, *words, "--root-hints", str(tmp_path / "hints"), "--json")
    report = json.loads(done.stdout)
    assert "path/tls-peer-identity" in {each["code"] for each in report["findings"] if each["level"] == "fault"}
    assert report["facts"]["parity"]["exit_code"] != 0


def test_a_port_without_tls_and_one_where_nobody_is_end_in_their_reasons(tmp_path: Path):
    with bind().start() as peer:
        plain, report = check("@primary-a", config(tmp_path, peer.port, GOOD))
    assert (plain, report["findings"][0]["code"]) == (1, "tls-handshake")
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        gone, report = check("@primary-a", config(tmp_path, closed.getsockname()[1], GOOD))
    assert (gone, report["findings"][0]["code"]) == (3, "connect-refused")
