"""`migrate inventory`, `snapshot` and `ttl` against a real server."""

import hashlib
import json
from pathlib import Path

import pytest
from support.commands import nameserver
from support.internet import Internet, soa
from support.octodns_reader import read

pytestmark = pytest.mark.interop

HOST = "127.0.5.3"
DS = f"shop.example. DS 4711 13 2 {'ab' * 32}\n"
GLUE = "ns1.shop.example. A 127.0.5.3\n"
ROOT, SHUT, LATE = "127.0.5.1", "127.0.5.2", "127.0.5.4"
BODY = """@ NS ns1
ns1 A 192.0.2.53
WWW A 192.0.2.1
*.apps 3600 CNAME www
sub NS ns.sub
gone NS ns.gone
ns.sub A 192.0.2.9
hidden.sub TXT "never seen"
flat TYPE65401 \\# 2 0102
"""


def world(body: str = BODY, transfer: str = "any", serial: int = 2026062001) -> Internet:
    text = f"$TTL 300\n{soa('shop.example.', serial)}{body}"
    root = f"$TTL 300\n{soa('.')}@ NS a.root.\na.root. A {ROOT}\nshop.example. NS ns1.shop.example.\n{DS}{GLUE}"
    return Internet({ROOT: {".": root}, HOST: {"shop.example.": text}}, (), {HOST: transfer})


def test_the_inventory_names_what_a_move_would_lose():
    with world() as net:
        words = ["migrate", "inventory", "shop.example", f"@{HOST}:{net.port}", *net.arguments, "--timeout", "0.5"]
        done = nameserver(*words, "--json")
        shown = nameserver(*words)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    found = {(each["level"], each["code"]) for each in report["findings"]}
    assert {("warning", "provider-type"), ("warning", "glue-missing"), ("warning", "occluded")} <= found
    assert ("note", "unsigned") in found
    facts = report["facts"]
    assert facts["wildcards"] == ["*.apps.shop.example."]
    assert (facts["ds"], facts["ds_ttl"]) == ([f"4711 13 2 {'ab' * 32}"], 300)
    assert ("warning", "ds-without-key") in found
    assert "4711  ECDSAP256SHA256  2       300  none" in shown.stdout
    assert (facts["serial_style"], facts["serial_headroom_to"]) == ("date", (2026062001 + 2**31 - 1) % 2**32)
    assert facts["delegations"] == {
        "gone.shop.example.": ["ns.gone.shop.example."],
        "sub.shop.example.": ["ns.sub.shop.example."],
    }
    assert (facts["types"]["A"], facts["types"]["NS"], facts["largest_ttl"]) == (3, 3, 3600)


def test_a_snapshot_is_the_same_file_as_long_as_the_zone_is_the_same(tmp_path: Path):
    with world() as net:
        words = ["migrate", "snapshot", "shop.example", f"@{HOST}:{net.port}", "-o", str(tmp_path), "--no-parent"]
        first = nameserver(*words)
        text = (tmp_path / "shop.example.zone").read_bytes()
        again = nameserver(*words)
    assert (first.returncode, again.returncode) == (0, 0), first.stdout + first.stderr
    facts = json.loads((tmp_path / "shop.example.json").read_text())
    assert text == (tmp_path / "shop.example.zone").read_bytes()
    assert facts["digest"] == hashlib.sha384(text).hexdigest()
    assert (facts["serial"], facts["records"], facts["largest_ttl"]) == (2026062001, 10, 3600)
    assert text.splitlines()[0] == (
        b"shop.example. 300 IN SOA ns1.shop.example. hostmaster.shop.example. 2026062001 3600 900 1209600 300"
    )
    assert b"www.shop.example. 300 IN A 192.0.2.1" in text


def test_a_snapshot_is_written_as_json_and_for_octodns_beside_the_zone_file(tmp_path: Path):
    with world() as net:
        words = ["migrate", "snapshot", "shop.example", f"@{HOST}:{net.port}", "-o", str(tmp_path), "--no-parent"]
        done = nameserver(*words, "--also", "octodns", "json")
    zone_file = (tmp_path / "shop.example.zone").read_text().splitlines()
    assert done.returncode == 1, done.stdout
    assert "fault (no-form): shop.example.yaml: left out, as octoDNS has no form for it" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Wrote ")
    document = json.loads((tmp_path / "shop.example.rrsets.json").read_text())
    assert [f"{each['owner']} {each['type']}" for each in document["rrsets"]] == [
        f"{owner} {kind}" for owner, _, _, kind, _ in (line.split(" ", 4) for line in zone_file)
    ]
    seen = {(owner, ttl, kind) for owner, ttl, kind, _ in read(tmp_path, "shop.example")}
    rows = (line.split(" ", 4) for line in zone_file)
    assert seen == {(owner, int(ttl), kind) for owner, ttl, _, kind, _ in rows if kind not in ("SOA", "TYPE65401")}


def test_a_snapshot_of_a_server_that_refuses_is_made_of_questions_and_says_so(tmp_path: Path):
    (tmp_path / "names").write_text("@\nwww\n")
    with world(transfer="none") as net:
        words = [
            "migrate",
            "snapshot",
            "shop.example",
            f"@{HOST}:{net.port}",
            "-o",
            str(tmp_path / "zones"),
            "--no-parent",
        ]
        refused = nameserver(*words)
        asked = nameserver(*words, "--names", str(tmp_path / "names"))
    assert refused.returncode == 3
    assert "fault (refused): " in refused.stdout
    assert not refused.stderr
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "proves no parity" in asked.stdout
    assert json.loads((tmp_path / "zones/shop.example.json").read_text())["complete"] is False


def test_ttls_are_held_against_the_target_and_the_time_against_the_old_ones(tmp_path: Path):
    with world() as net:
        where = ["shop.example", f"@{HOST}:{net.port}"]
        nameserver("migrate", "snapshot", *where, "-o", str(tmp_path), "--no-parent")
        high = nameserver("migrate", "ttl", *where)
        of_today = ["--baseline", str(tmp_path), "--lowered-at", "2026-01-01T00:00:00Z"]
        net.servers[HOST].change(
            "shop.example.", f"$TTL 300\n{soa('shop.example.', 2026062002)}{BODY.replace('3600', '')}"
        )
        low = nameserver("migrate", "ttl", *where)
        after = nameserver("migrate", "ttl", *where, *of_today)
        facts = tmp_path / "shop.example.json"
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"taken": 1_700_000_000.0}))
        base = ["--baseline", str(tmp_path), "--lowered-at"]
        early = nameserver("migrate", "ttl", *where, *base, "2199-01-01T00:00:00Z")
        late = nameserver("migrate", "ttl", *where, *base, "2026-01-01T00:00:00Z")
        (tmp_path / "shop.example.zone").write_text("; touched\n")
        touched = nameserver("migrate", "ttl", *where, *base, "2026-01-01T00:00:00Z")
    assert (high.returncode, low.returncode, early.returncode, late.returncode) == (1, 0, 1, 0)
    assert (after.returncode, "fault (snapshot-late)" in after.stdout) == (1, True)
    assert "*.apps.shop.example." in high.stdout
    assert "2 x the largest old TTL (3600 s)" in early.stdout
    assert "the cut-over is safe from 2199-01-03" in early.stdout
    assert touched.returncode == 2
    assert "was changed since" in touched.stderr


def test_of_a_server_with_several_addresses_the_one_that_was_taken_is_told_and_others_are_held_against_it(
    tmp_path: Path,
):
    zones = {number: f"$TTL 300\n{soa('shop.example.', number)}{BODY}" for number in (5, 4)}
    root = f"$TTL 300\n{soa('.')}@ NS a.root.\na.root. A {ROOT}\nns A {SHUT}\nns A {HOST}\nns A {LATE}\n"
    servers = {ROOT: {".": root}, **{each: {"shop.example.": zones[5]} for each in (SHUT, HOST)}}
    with Internet({**servers, LATE: {"shop.example.": zones[4]}}, (), {HOST: "any", LATE: "any"}) as net:
        where = ["shop.example", f"@ns:{net.port}", *net.arguments]
        taken = nameserver("migrate", "snapshot", *where, "-o", str(tmp_path), "--no-parent")
        ttl = nameserver("migrate", "ttl", *where)
    for done in (taken, ttl):
        assert f"note (address): taken from {HOST}:{net.port}, one of 3 addresses" in done.stdout, done.stderr
        assert f"{LATE}:{net.port} serves serial 4; this is serial 5 from {HOST}:{net.port}" in done.stdout
    assert (taken.returncode, ttl.returncode) == (0, 1)
