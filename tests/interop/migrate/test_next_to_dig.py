"""The commands by which guides have this done, run as they stand there, next to ours, where theirs are fooled."""

import json
import subprocess
from pathlib import Path

import pytest
from support.ask import LOOPBACK, Key
from support.commands import nameserver
from support.internet import Internet, soa
from support.peers import PRIMARIES, requires
from support.resolver import Unbound

pytestmark = pytest.mark.interop

OLD, NEW = "127.0.5.3", "127.0.6.4"
ZONE = "shop.example."
BODY = f"@ NS ns1\n@ NS ns2\nns1 A {OLD}\nns2 A {NEW}\nwww A 192.0.2.1\n"
MATCH = "ZONES MATCH: Proceed with cutover"
SECRET = "y8Qm2Zr9k3Jt0Lf5wXc1aN6bV4dHs7e=="


def zone(body: str = BODY, serial: int = 5) -> dict[str, str]:
    return {ZONE: f"$TTL 300\n{soa(ZONE, serial)}{body}"}


def shell(command: str) -> str:
    """What a shell prints; errors of its commands are no errors here, as at a prompt."""
    requires("dig")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def strict_diff(old: tuple[str, int], new: tuple[str, int], directory: Path) -> str:
    """The strict diff of the guides."""
    one, two = directory / "legacy.txt", directory / "new.txt"
    return shell(
        f"dig @{old[0]} -p {old[1]} {ZONE} AXFR +noall +answer +multiline | sort > {one}\n"
        f"dig @{new[0]} -p {new[1]} {ZONE} AXFR +noall +answer +multiline | sort > {two}\n"
        f'diff -u {one} {two} && echo "{MATCH}"'
    )


def ours(net: Internet, *words: str) -> subprocess.CompletedProcess[str]:
    return nameserver("migrate", "compare", ZONE, "--old", f"{OLD}:{net.port}", "--new", f"{NEW}:{net.port}", *words)


def test_two_refused_transfers_are_equal_to_diff_and_nothing_to_us(tmp_path: Path):
    with Internet({OLD: zone(), NEW: zone("@ NS ns9.example.\n")}) as net:
        theirs, done = strict_diff((OLD, net.port), (NEW, net.port), tmp_path), ours(net)
    assert theirs.strip() == MATCH
    assert done.returncode == 3
    assert MATCH not in done.stdout


def test_the_same_zone_from_two_makers_differs_to_diff_and_not_to_us(tmp_path: Path):
    """BIND keeps the case in which a name was written, NSD does not; to DNS it is the same name (RFC 4343)."""
    kind = PRIMARIES["bind"]
    requires(*kind.programs)
    spelled = zone(BODY.replace("www", "WWW").replace("@ NS ns2", "@ NS NS2"))
    with Internet({NEW: spelled}, (), {NEW: "any"}) as net, kind({"shop.example": spelled[ZONE]}).start() as peer:
        theirs = strict_diff((LOOPBACK, peer.port), (NEW, net.port), tmp_path)
        done = nameserver("migrate", "compare", ZONE, "--old", f"{LOOPBACK}:{peer.port}", "--new", f"{NEW}:{net.port}")
    assert MATCH not in theirs
    assert done.stdout.splitlines()[-1] == MATCH


def test_the_loop_over_serials_finds_equal_ones_and_ours_what_differs_under_them():
    with Internet(
        {OLD: zone(), NEW: zone(BODY.replace("192.0.2.1", "192.0.2.7"))}, (), {OLD: "any", NEW: "any"}
    ) as net:
        theirs = shell(f"for ns in {OLD} {NEW}; do dig @$ns -p {net.port} {ZONE} SOA +short | awk '{{print $3}}'; done")
        done = ours(net, "--json")
    assert theirs.split() == ["5", "5"]
    assert "same-serial-differs" in {finding["code"] for finding in json.loads(done.stdout)["findings"]}


def test_one_server_that_refuses_says_nothing_of_the_other(tmp_path: Path):
    with Internet({OLD: zone(), NEW: zone()}, (), {NEW: "any"}) as net:
        theirs = shell(f"dig AXFR {ZONE} @{OLD} -p {net.port}")
        done = nameserver("migrate", "exposure", ZONE, f"@{OLD}:{net.port}", f"@{NEW}:{net.port}")
    assert "Transfer failed." in theirs
    assert done.returncode == 1
    assert f"{NEW}:{net.port}) hands out the zone to anybody" in done.stdout


def test_a_cache_that_counts_down_does_not_read_300_and_is_good():
    with Internet({OLD: zone()}) as net, Unbound({ZONE: ""}, net.port, OLD, caches=True) as resolver:
        resolver.ask("www.shop.example", "A")
        shell("sleep 1.2")
        theirs = shell(f"dig @{LOOPBACK} -p {resolver.port} www.{ZONE} A +noall +answer")
        words = ["--resolvers", f"{LOOPBACK}:{resolver.port}", "--target", "300"]
        done = nameserver("migrate", "propagation", f"www.{ZONE}", "A", *words)
    assert int(theirs.split()[1]) < 300
    assert done.returncode == 0


def test_a_key_beside_an_address_lets_the_address_in_without_it():
    """`allow-transfer { key K; acl; }` means OR."""
    kind = PRIMARIES["bind"]
    requires(*kind.programs)

    class Guided(kind):  # type: ignore[misc, valid-type]
        def configure(self) -> None:
            super().configure()
            path = self.directory / "named.conf"
            key, both = "allow-transfer { key migration-key; };", "allow-transfer { key migration-key; new-primary; };"
            text = path.read_text().replace(key, both)
            assert both in text
            path.write_text(f"acl new-primary {{ {LOOPBACK}; }};\n{text}")

    key = Key("migration-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
    with Guided({"shop.example": next(iter(zone().values()))}, transfer_key=key).start() as peer:
        checked = subprocess.run(["named-checkconf", str(peer.directory / "named.conf")], check=False)
        done = nameserver("migrate", "exposure", ZONE, f"@{LOOPBACK}:{peer.port}")
    assert checked.returncode == 0
    assert done.returncode == 1


def test_the_secret_that_a_guide_prints_is_none_and_we_say_so(tmp_path: Path):
    path = tmp_path / "key"
    path.write_text(f'key "migration-key" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    path.chmod(0o600)
    words = ["--key", "migration-key", "--key-file", str(path)]
    done = nameserver("migrate", "check", ZONE, f"@{LOOPBACK}:1", *words)
    assert done.returncode == 2
    assert "base64" in done.stderr
    assert SECRET not in done.stderr
