"""`migrate primary-snippet`: each server takes its form as it is, and gives the zone to nobody else."""

import subprocess
from pathlib import Path

import pytest
from support import ask
from support.ask import LOOPBACK, Key
from support.certificates import authority
from support.commands import nameserver
from support.internet import soa
from support.peers import PRIMARIES, Primary, requires
from support.process import program

pytestmark = pytest.mark.interop

KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
TEXT = "$TTL 300\n" + soa("shop.example.", 5) + "@ NS ns1\nns1 A 192.0.2.53\n"


def config(directory: Path, listen: str, key: bool = True) -> str:
    keyed = f'[key."{KEY.name}"]\nalgorithm = "{KEY.algorithm}"\nsecret = "{KEY.secret}"\n' if key else ""
    remote = f'key = "{KEY.name}"\n' if key else ""
    path = directory / "nameserver.toml"
    path.write_text(
        f'[server]\nlisten = ["{listen}"]\nstate-dir = "{directory}"\ncontrol = "{directory}/c"\n{keyed}'
        f'[remote.primary-a]\naddress = ["192.0.2.1"]\n{remote}[zone."shop.example"]\nprimaries = ["primary-a"]\n'
    )
    path.chmod(0o600)
    return str(path)


def made(directory: Path, vendor: str, listen: str, *more: str) -> str:
    words = ["migrate", "primary-snippet", "shop.example", "--for", vendor, "-c", config(directory, listen), *more]
    done = nameserver(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("vendor", "checker"),
    [("bind", ["named-checkconf"]), ("knot", ["knotc", "-c", "FILE", "conf-check"]), ("nsd", ["nsd-checkconf"])],
)
def test_the_servers_own_checker_takes_it(vendor: str, checker: list[str], tmp_path: Path):
    requires(checker[0])
    file = tmp_path / "pasted.conf"
    file.write_text(made(tmp_path, vendor, "192.0.2.7:53", "--with-secret"))
    words = [str(file) if word == "FILE" else word for word in checker]
    command = [program(checker[0]) or "", *words[1:], *([] if "FILE" in checker else [str(file)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + file.read_text()


@pytest.mark.parametrize(("address", "good"), [("127.0.0.1", True), ("192.0.2.7", False)])
@pytest.mark.parametrize("vendor", ["bind", "knot", "nsd"])
def test_address_and_key_are_both_needed(vendor: str, address: str, good: bool, tmp_path: Path):
    kind = PRIMARIES[vendor]
    requires(*kind.programs)
    text = made(tmp_path, vendor, f"{address}:5399", "--with-secret")
    with pasted(kind, text) as peer:
        if good:
            assert ask.zone_records(peer.port, "shop.example", KEY)
        else:
            with pytest.raises(ask.TransferRefused):
                ask.zone_records(peer.port, "shop.example", KEY)
        with pytest.raises(ask.TransferRefused):
            ask.zone_records(peer.port, "shop.example")


def pasted(kind: type[Primary], snippet: str) -> Primary:
    """A peer that has its zone and its key from the snippet alone."""

    class Peer(kind):  # type: ignore[misc, valid-type]
        def configure(self) -> None:
            super().configure()
            [path] = [each for each in self.directory.iterdir() if each.suffix == ".conf"]
            text, zone = path.read_text(), str(self.file_of("shop.example"))
            own = snippet.replace('"shop.example.zone"', f'"{zone}"')
            if self.name == "bind":
                text = text[: text.index('zone "')] + own
            elif self.name == "nsd":
                text = text[: text.index("zone:\n")] + own
            else:
                head = text[: text.index("acl:\n")]
                template = text[text.index("template:\n") : text.index("zone:\n")].replace("    acl: [transfer]\n", "")
                text = head + template + own
            path.write_text(text)

    return Peer({"shop.example": TEXT}).start()


def test_what_is_pasted_into_powerdns_are_commands_that_it_has(tmp_path: Path):
    kind = PRIMARIES["pdns"]
    requires(*kind.programs)
    text = made(tmp_path, "pdns", f"{LOOPBACK}:5399", "--with-secret")
    old_commands = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# pdnsutil")]
    assert len(old_commands) == 4
    with kind({"shop.example": TEXT}) as peer:
        peer.start()
        for line in old_commands:
            command, *words = line.split()
            peer.run(command, f"--config-dir={peer.directory}", *words)
        assert ask.zone_records(peer.port, "shop.example", KEY)


def test_the_secret_is_shown_only_where_that_is_asked_for(tmp_path: Path):
    assert KEY.secret not in made(tmp_path, "bind", "192.0.2.7:53")
    assert KEY.secret in made(tmp_path, "bind", "192.0.2.7:53", "--with-secret")


def test_an_address_that_nobody_can_reach_is_not_written(tmp_path: Path):
    words = ["migrate", "primary-snippet", "shop.example", "--for", "nsd", "-c", config(tmp_path, "0.0.0.0:53")]
    done = nameserver(*words)
    named = nameserver(*words, "--address", "2001:db8::7")
    assert (done.returncode, named.returncode) == (2, 0)
    assert "--address" in done.stderr
    assert "provide-xfr: 2001:db8::7 transfer-key" in named.stdout


def with_tls(directory: Path, certificate: bool = False) -> str:
    path = Path(config(directory, "192.0.2.7:53"))
    more = ""
    if certificate:
        authority().issue("secondary.example.net").write(directory, "ours")
        more = 'certificate = "ours.pem"\nkey = "ours.key"\n'
    pin = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
    path.write_text(path.read_text().replace("[zone.", f'tls = "up"\n[tls.up]\npin = "{pin}"\n{more}[zone.'))
    return str(path)


@pytest.mark.parametrize("certificate", [False, True])
@pytest.mark.parametrize(("vendor", "checker"), [("bind", "named-checkconf"), ("nsd", "nsd-checkconf")])
def test_of_a_primary_with_tls_the_form_is_the_one_for_tls(
    vendor: str, checker: str, certificate: bool, tmp_path: Path
):
    requires(checker)
    words = ["migrate", "primary-snippet", "shop.example", "--for", vendor, "-c", with_tls(tmp_path, certificate)]
    made = nameserver(*words, "--with-secret")
    file = tmp_path / "pasted.conf"
    file.write_text(made.stdout)
    done = subprocess.run([program(checker) or "", str(file)], capture_output=True, text=True, check=False)
    assert (made.returncode, done.returncode) == (0, 0), done.stdout + done.stderr + made.stdout
    assert {"bind": "port 853 transport tls", "nsd": "tls-port: 853"}[vendor] in made.stdout
    assert ("ca-file" in made.stdout) == (vendor == "bind" and certificate)


def test_of_one_that_has_no_transfers_over_tls_it_says_so(tmp_path: Path):
    done = nameserver("migrate", "primary-snippet", "shop.example", "--for", "knot", "-c", with_tls(tmp_path))
    assert (done.returncode, "in plain" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("key", [True, False])
def test_what_is_pasted_into_pdns_conf_are_settings_that_powerdns_has(key: bool, tmp_path: Path):
    requires("pdns_server")
    words = ["migrate", "primary-snippet", "shop.example", "--for", "pdns", "-c", config(tmp_path, "192.0.2.7:53", key)]
    lines = nameserver(*words).stdout.split("\n\n")[0]
    assert "allow-axfr-ips=" in lines
    (tmp_path / "pdns.conf").write_text(lines + "\n")
    command = [program("pdns_server") or "", f"--config-dir={tmp_path}", "--config=check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + lines
