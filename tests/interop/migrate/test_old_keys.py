"""The old side's keys after a cut-over with two signers, over zones that are really signed, under a real parent.

Times are those of the zones, shortened to seconds; what a key is needed for is measured.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.name
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from support.ask import LOOPBACK
from support.commands import nameserver
from support.internet import Internet, soa
from support.peers import BindPrimary, KnotPrimary, requires

from nameserver.migrate.move import phases

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ROOT, TLD, OLD, NEW = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.6.4"
ZONE = dns.name.from_text("shop.example.")
TTL = 1


class Signer:
    """A key-signing and a zone-signing key."""

    def __init__(self) -> None:
        privates = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        self.pairs = [
            (each, dns.dnssec.make_dnskey(each.public_key(), Algorithm.ECDSAP256SHA256, flags=flags))
            for each, flags in zip(privates, (257, 256), strict=True)
        ]
        self.tag = dns.dnssec.key_id(self.pairs[1][1])
        self.key_tag = dns.dnssec.key_id(self.pairs[0][1])
        self.ds = f"shop {TTL} DS {dns.dnssec.make_ds(ZONE, self.pairs[0][1], 'SHA256').to_text()}\n"

    def sign(self, names: tuple[str, ...], *others: "Signer", serial: int = 5) -> str:
        """The zone, signed, with the zone-signing keys of others in its set."""
        servers = "".join(f"@ NS {name}\n" for name in names)
        text = (
            f"$TTL {TTL}\n{soa('shop.example.', serial, TTL, TTL)}{servers}old A {OLD}\nnew A {NEW}\nwww A 192.0.2.1\n"
        )
        zone = dns.zone.from_text(text, ZONE, relativize=False)
        now = datetime.now(UTC)
        with zone.writer() as writer:
            for other in others:
                writer.add(ZONE, TTL, other.pairs[1][1])
            times = {"inception": now - timedelta(days=1), "expiration": now + timedelta(days=14)}
            dns.dnssec.sign_zone(zone, writer, keys=self.pairs, dnskey_ttl=TTL, **times)
        return zone.to_text(relativize=False)


A, B = Signer(), Signer()


def tld(names: tuple[str, ...], *signers: Signer) -> str:
    servers = "".join(f"shop {TTL} NS {name}.shop\n" for name in names)
    glue = f"old.shop A {OLD}\nnew.shop A {NEW}\n"
    return f"$TTL {TTL}\n{soa('example.')}@ NS ns\nns A {TLD}\n{servers}{glue}{''.join(each.ds for each in signers)}"


def made(delegated: str, at_apex: tuple[str, ...]) -> Internet:
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
    servers = {
        ROOT: {".": f"$TTL 3600\n{soa('.')}{top}"},
        TLD: {"example.": tld((delegated,), A, B)},
        OLD: {"shop.example.": A.sign(at_apex, B)},
        NEW: {"shop.example.": B.sign(at_apex, A)},
    }
    return Internet(servers)


@pytest.fixture
def net() -> Iterator[Internet]:
    with made("old", ("old", "new")) as net:
        yield net


def begin(net: Internet, path: Path, phase: str, way: str = "multi-signer", at: tuple[str, str] | None = None) -> None:
    """`at`: the old side and the new one, where they are not those of the net."""
    old, new = at or (f"{OLD}:{net.port}", f"{NEW}:{net.port}")
    names = ["old.shop.example"], ["new.shop.example"]
    state = phases.State("shop.example", [old], [new], "zones", *names, way, target_ttl=TTL, keep=0.0, phase=phase)
    state.cached["largest_ttl"] = float(TTL)
    phases.write(path, state)


def look(net: Internet, path: Path, verb: str = "dnssec") -> tuple[int, dict]:
    done = nameserver("migrate", verb, "shop.example", "--state", str(path), *net.arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def told(report: dict, code: str) -> list[str]:
    return [each["text"] for each in report["findings"] if each["code"].rpartition("/")[2] == code]


def until(net: Internet, path: Path, needs: dict[int, list[str]]) -> dict:
    """Look until these are what needs each key, by its tag."""
    deadline = time.monotonic() + 30
    while True:
        _, report = look(net, path)
        assert not told(report, "key-removed"), report["findings"]
        seen = {int(name.split()[1]): each["needed_by"] for name, each in report["facts"]["old_keys"].items()}
        if seen == needs:
            return report
        assert time.monotonic() < deadline, (seen, needs)
        time.sleep(0.3)


def test_old_keys_may_go_when_the_parent_and_every_cache_has_done_with_them(tmp_path: Path):
    path = tmp_path / "move.json"
    with made("new", ("new",)) as net:
        begin(net, path, "cutover")
        assert told(look(net, path)[1], "key-needed")
        report = until(net, path, {A.key_tag: ["parent"], A.tag: []})
        assert [f"key set that KSK {A.key_tag} " in text for text in told(report, "ds-may-go")] == [True]
        assert [f"needs ZSK {A.tag} " in text for text in told(report, "key-may-go")] == [True]
        net.servers[TLD].change("example.", tld(("new",), B))
        until(net, path, {A.key_tag: [], A.tag: []})
        net.servers[NEW].change("shop.example.", B.sign(("new",)))
        net.servers[OLD].stop()
        _, report = look(net, path, "decommission")
        of_keys = {each["code"] for each in report["findings"] if each["code"].startswith("old-keys/")}
        assert of_keys == {"old-keys/key-may-go"}, report["findings"]


def test_an_old_key_that_was_removed_too_early_is_named_and_nothing_goes_on(net: Internet, tmp_path: Path):
    path = tmp_path / "move.json"
    begin(net, path, "cutover")
    look(net, path)
    net.servers[TLD].change("example.", tld(("new",), A, B))
    net.servers[NEW].change("shop.example.", B.sign(("old", "new")))
    for verb in ("dnssec", "status", "advance"):
        code, report = look(net, path, verb)
        texts = told(report, "key-removed")
        assert code == 1
        assert [f"{NEW}:{net.port}) lacks ZSK {A.tag} ECDSAP256SHA256, which is needed" in text for text in texts] == [
            True
        ]
    assert phases.read(path).phase == "cutover"


def test_from_bind_to_knot_a_key_that_went_too_early_is_missed_until_it_is_back(net: Internet, tmp_path: Path):
    requires(*BindPrimary.programs, *KnotPrimary.programs)
    path = tmp_path / "move.json"
    both = ("old", "new")
    with (
        BindPrimary({"shop.example": A.sign(both, B)}).start() as old,
        KnotPrimary({"shop.example": B.sign(both, A)}).start() as new,
    ):
        begin(net, path, "cutover", at=(f"{LOOPBACK}:{old.port}", f"{LOOPBACK}:{new.port}"))
        assert told(look(net, path)[1], "key-removed") == []
        net.servers[TLD].change("example.", tld(("new",), A, B))
        new.update("shop.example", B.sign(both, serial=6))
        code, report = look(net, path)
        [text] = told(report, "key-removed")
        assert code == 1
        assert f"the new side ({LOOPBACK}:{new.port}) lacks ZSK {A.tag} ECDSAP256SHA256" in text
        new.update("shop.example", B.sign(both, A, serial=7))
        assert told(look(net, path)[1], "key-removed") == []


def test_a_ds_of_the_old_side_that_was_removed_too_early_is_named(net: Internet, tmp_path: Path):
    path = tmp_path / "move.json"
    begin(net, path, "cutover")
    look(net, path)
    net.servers[TLD].change("example.", tld(("old",), B))
    code, report = look(net, path, "status")
    assert code == 1
    assert [f"DS of KSK {A.key_tag} " in text for text in told(report, "ds-removed")] == [True]


def test_on_the_way_without_dnssec_an_old_side_that_is_unsigned_before_its_ds_has_run_out_is_named(
    net: Internet, tmp_path: Path
):
    path = tmp_path / "move.json"
    begin(net, path, "parallel", "unsign")
    net.servers[TLD].change("example.", tld(("old",), A))
    assert told(look(net, path, "status")[1], "key-removed") == []
    net.servers[TLD].change("example.", tld(("old",)))
    names = f"@ NS old\nold A {OLD}\n"
    for address in (OLD, NEW):
        net.servers[address].change("shop.example.", f"$TTL {TTL}\n{soa('shop.example.', 6, TTL, TTL)}{names}")
    code, report = look(net, path, "status")
    texts = " ".join(told(report, "key-removed"))
    assert code == 1
    assert f"lacks KSK {A.key_tag} " in texts, report["findings"]
    assert "its DS is in caches (172800 s)" in texts
