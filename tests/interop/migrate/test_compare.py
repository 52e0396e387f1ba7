"""`nameserver migrate compare` between real servers."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import dns.name
import pytest
from support.ask import Key
from support.commands import nameserver
from support.internet import Internet, soa
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.cli.main import main
from nameserver.zone.zone_text import write_zone_file

pytestmark = pytest.mark.interop

ROOT, OLD, NEW, OTHER_OLD, OTHER_NEW = "127.0.5.1", "127.0.5.3", "127.0.5.4", "127.0.5.5", "127.0.5.6"
KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
BODY = "@ NS ns1\nns1 A 192.0.2.53\nwww A 192.0.2.1\n*.apps CNAME www\nsub NS ns.sub\nns.sub A 192.0.2.9\n"


def zone(body: str = BODY, serial: int = 5) -> dict[str, str]:
    return {"shop.example.": f"$TTL 300\n{soa('shop.example.', serial)}{body}"}


def internet(old: dict[str, str], new: dict[str, str], transfer: dict[str, str]) -> Internet:
    return Internet({OLD: old, NEW: new}, [KEY], transfer)


def sides(net: Internet) -> list[str]:
    return ["shop.example", "--old", f"{OLD}:{net.port}", "--new", f"{NEW}#{net.port}"]


def test_zones_that_match_end_with_the_sentence_that_scripts_look_for(tmp_path: Path):
    shuffled = "".join(f"{line}\n" for line in reversed(BODY.replace("CNAME www", "CNAME WWW").splitlines()))
    with internet(zone(), zone(shuffled), {OLD: "transfer-key", NEW: "any"}) as net:
        (tmp_path / "key").write_text(f'key "transfer-key" {{ algorithm {KEY.algorithm}; secret "{KEY.secret}"; }};\n')
        (tmp_path / "key").chmod(0o600)
        key = ["--old-key", "transfer-key", "--old-key-file", str(tmp_path / "key")]
        done = nameserver("migrate", "compare", *sides(net), *key)
        keyless = nameserver("migrate", "compare", *sides(net))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ZONES MATCH: Proceed with cutover"
    assert keyless.returncode == 1
    assert "could not be transferred (refused" in keyless.stdout


def test_a_side_that_refuses_the_transfer_is_asked_name_by_name():
    missing = BODY.replace("*.apps CNAME www\n", "").replace("www A 192.0.2.1", "www A 192.0.2.2")
    with internet(zone(), zone(missing, serial=6), {OLD: "any"}) as net:
        done = nameserver("migrate", "compare", *sides(net), "--accept-partial")
        net.servers[NEW].change("shop.example.", zone()["shop.example."])
        same = nameserver("migrate", "compare", *sides(net), "--accept-partial")
        strict = nameserver("migrate", "compare", *sides(net))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if line[:2] in ("- ", "+ ")] == [
        "- *.apps.shop.example. 300 IN CNAME www.shop.example.",
        "- www.shop.example. 300 IN A 192.0.2.1",
        "+ www.shop.example. 300 IN A 192.0.2.2",
    ]
    assert (same.returncode, strict.returncode) == (0, 1), same.stdout
    assert same.stdout.splitlines()[-1].startswith(
        "NO DIFFERENCE in all 7 records of the other side, accepted as partial"
    )


def test_a_plan_does_not_take_the_old_names_in_a_copy_for_those_to_delegate_to(tmp_path: Path):
    both = BODY.replace("@ NS ns1\n", "@ NS ns1\n@ NS new.elsewhere.example.\n")
    state = ["--state", str(tmp_path / "move.json")]
    with internet(zone(), zone(), {}) as net:
        done = nameserver("migrate", "plan", *sides(net), *state, "--json")
        (tmp_path / "move.json").unlink()
        net.servers[NEW].change("shop.example.", zone(both)["shop.example."])
        overlap = nameserver("migrate", "plan", *sides(net), *state, "--json")
    facts = [json.loads(each.stdout)["facts"]["new_ns"] for each in (done, overlap)]
    assert facts == [[], ["new.elsewhere.example"]]
    assert "no-new-ns" in done.stdout


def test_where_both_refuse_names_from_a_list_are_asked(tmp_path: Path):
    (tmp_path / "names").write_text("@\nwww A AAAA\n*.apps\n# a comment\n")
    with internet(zone(), zone(), {}) as net:
        without = nameserver("migrate", "compare", *sides(net))
        listed = nameserver("migrate", "compare", *sides(net), "--names", str(tmp_path / "names"), "--accept-partial")
        (tmp_path / "names").write_text("www.elsewhere.example.\n")
        outside = nameserver("migrate", "compare", *sides(net), "--names", str(tmp_path / "names"))
    assert without.returncode == 3
    assert "give --names FILE" in without.stdout
    assert listed.returncode == 0, listed.stdout
    assert outside.returncode == 2
    assert "line 1: www.elsewhere.example. is not in shop.example" in outside.stderr


def test_every_address_of_a_side_is_compared_and_the_one_that_differs_is_named():
    names = f"old A {OLD}\nold A {OTHER_OLD}\nnew A {NEW}\nnew A {OTHER_NEW}\n"
    tree = {ROOT: {".": f"$TTL 300\n{soa('.')}@ NS a.root.\na.root. A {ROOT}\n{names}"}}
    servers = {**tree, OLD: zone(), OTHER_OLD: zone(), NEW: zone(), OTHER_NEW: zone()}
    with Internet(servers, (), dict.fromkeys((OLD, OTHER_OLD, NEW, OTHER_NEW), "any")) as net:
        words = ["migrate", "compare", "shop.example", "--old", f"old:{net.port}", "--new", f"new:{net.port}"]
        clean = nameserver(*words, *net.arguments, "--json")
        net.servers[OTHER_NEW].change("shop.example.", zone(BODY.replace("www A", "web A"))["shop.example."])
        new = nameserver(*words, *net.arguments)
        net.servers[OTHER_NEW].change("shop.example.", zone()["shop.example."])
        net.servers[OTHER_OLD].change("shop.example.", zone(BODY.replace("www A", "www 60 A"))["shop.example."])
        old = nameserver(*words, *net.arguments)
        net.servers[OTHER_OLD].stop()
        silent = nameserver(*words, *net.arguments, "--timeout", "0.5")
    report = json.loads(clean.stdout)
    assert (clean.returncode, report["verdict"]) == (0, "ZONES MATCH: Proceed with cutover")
    assert {(each["side"], each["address"]) for each in report["facts"]["addresses"]} == {
        (side, f"{address}:{net.port}") for side, address in (("old", OTHER_OLD), ("new", NEW), ("new", OTHER_NEW))
    }
    assert (new.returncode, old.returncode, silent.returncode) == (1, 1, 1)
    at, beside = f"new:{net.port} ({OTHER_NEW}:{net.port})", f"old:{net.port} ({OLD}:{net.port})"
    assert new.stdout.splitlines()[-1] == f"ZONES DIFFER at {at} from {beside}: do not proceed"
    assert f"fault (ttl-drift): old:{net.port} ({OTHER_OLD}:{net.port}): 1 record is the same" in old.stdout
    assert f"{OTHER_OLD}:{net.port}): no answer" in silent.stdout or "connect-refused" in silent.stdout
    assert silent.stdout.splitlines()[-1] == "PARITY IS NOT PROVEN: do not proceed"


HOSTS = "".join(f"h{number} A 192.0.2.{number % 250}\n" for number in range(400))


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> Done:
    """The command, without the cost of a process."""
    capsys.readouterr()
    try:
        code = main(["migrate", "compare", *words])
    except SystemExit as stopped:  # as argparse has it
        code = int(str(stopped.code))
    return Done(code, *capsys.readouterr())


def test_a_sample_asks_few_names_proves_nothing_and_says_how_much_it_covers(capsys: pytest.CaptureFixture[str]):
    with internet(zone(BODY + HOSTS), zone(BODY + HOSTS), {OLD: "any", NEW: "any"}) as net:
        words = [*sides(net), "--repeat", "0", "--json"]
        few = compared(capsys, *words, "--sample", "20")
        again = compared(capsys, *words, "--sample", "20")
        other = compared(capsys, *words, "--sample", "5%", "--seed", "another", "--accept-partial")
        everything = compared(capsys, *words, "--sample", "100%", "--accept-partial")
        net.servers[NEW].change(
            "shop.example.", zone((BODY + HOSTS).replace("*.apps CNAME www", "*.apps CNAME w"))["shop.example."]
        )
        planted = compared(capsys, *words, "--sample", "20")
    one, same, another, whole, fault = (json.loads(done.stdout) for done in (few, again, other, everything, planted))
    covered = (
        "no difference in a sample of 20 of 405 names (4.9 %), 20 of 405 RRsets (4.9 %), the rest was not compared"
    )
    assert (few.code, one["verdict"]) == (1, f"PARITY IS NOT PROVEN: do not proceed; {covered}")
    assert one["facts"]["sample"] == {
        "seed": "shop.example 5", "names": 20, "names_of": 405, "rrsets": 20, "rrsets_of": 405,
        "wildcards": [1, 1], "delegations": [1, 1], "types": [3, 3],
    }  # fmt: skip
    assert (one["facts"]["old"]["seen_by"], one["facts"]["new"]["seen_by"]) == ("axfr", "questions")
    assert one["digest"] == same["digest"] != another["digest"]
    assert (other.code, another["facts"]["sample"]["names"]) == (0, 21)
    assert another["verdict"].startswith("NO DIFFERENCE in a sample of 21 of 405 names (5.1 %)")
    assert (everything.code, "MATCH" in whole["verdict"]) == (0, False)
    assert whole["verdict"].startswith("NO DIFFERENCE in a sample of 405 of 405 names (100 %)")
    assert planted.code == 1
    assert sorted(fault["lines"], reverse=True) == [
        "- *.apps.shop.example. 300 IN CNAME www.shop.example.",
        "+ *.apps.shop.example. 300 IN CNAME w.shop.example.",
    ]


def test_a_sample_of_a_list_transfers_nothing_and_one_without_a_list_needs_one_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "names").write_text("@\n" + "".join(f"h{number} A\n" for number in range(400)))
    listed = ["--names", str(tmp_path / "names"), "--sample", "10", "--repeat", "0", "--accept-partial"]
    with internet(zone(BODY + HOSTS), zone(BODY + HOSTS, serial=6), {OLD: "any"}) as net:
        words = sides(net)
        quick = compared(capsys, *words, *listed, "--json")
        swapped = ["shop.example", "--old", f"{NEW}:{net.port}", "--new", f"{OLD}:{net.port}", "--sample", "10"]
        other_way = compared(capsys, *swapped, "--repeat", "0", "--accept-partial")
        bad = compared(capsys, *words, "--sample", "0")
    report = json.loads(quick.stdout)
    assert quick.code == 0, quick.stdout
    assert (report["facts"]["old"]["seen_by"], report["facts"]["new"]["seen_by"]) == ("questions", "questions")
    assert report["facts"]["sample"]["seed"] == "shop.example 5"
    assert "a sample of 10 of 401 names (2.4 %)" in report["verdict"]
    assert other_way.code == 0, other_way.stdout
    assert "could not be transferred (refused" in other_way.stdout
    assert "a sample of 10 of 405 names" in other_way.stdout.splitlines()[-1]
    assert (bad.code, "expected a number of names, or a share as 5%" in bad.stderr) == (2, True)


def signed(method: Nsec | Nsec3, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The zone signed, with what patterns match replaced."""
    body = f"{soa('shop.example.', 5)}{BODY}safe NS ns.safe\nsafe DS 12345 13 2 {'ab' * 32}\nns.safe A 192.0.2.10\n"
    apex, nodes = signed_nodes(body, "shop.example.", method)
    text = write_zone_file(nodes, apex)
    for before, after in (changes or {}).items():
        assert re.search(before, text, re.MULTILINE), before
        text = re.sub(before, after, text, count=1, flags=re.MULTILINE)
    return {"shop.example.": text}


def test_signatures_proofs_and_glue_are_compared_by_questions_too(capsys: pytest.CaptureFixture[str]):
    planted = {
        r"^www.shop.example. \d+ IN RRSIG A .*\n": "",
        r"^(ns1.shop.example. \d+ IN NSEC) \S+": r"\1 other.shop.example.",
        r"^(sub.shop.example. \d+ IN NSEC) \S+": r"\1 other.shop.example.",
        r"^(ns.sub.shop.example.) (\d+ IN A 192.0.2.9)": r"\1 60 IN AAAA 2001:db8::9\n\1 \2",
        r"^(ns.safe.shop.example.) \d+ (IN A 192.0.2.10)": r"\1 60 \2",
    }
    with internet(signed(Nsec()), signed(Nsec()), {OLD: "any"}) as net:
        same = compared(capsys, *sides(net), "--accept-partial", "--json")
        unsigned = compared(capsys, *sides(net), "--accept-partial", "--ignore-dnssec", "--json")
        net.servers[NEW].change("shop.example.", signed(Nsec(), planted)["shop.example."])
        other = compared(capsys, *sides(net), "--json")
    clean, ignored, found = (json.loads(done.stdout) for done in (same, unsigned, other))
    assert (same.code, clean["lines"]) == (0, []), clean["findings"]
    # The NSEC of a delegation with a DS, and its signature: no question shows them.
    assert clean["facts"]["new"]["not_compared"] == {"signatures and proofs of absence": 2}
    assert (unsigned.code, ignored["facts"]["new"]["not_compared"]) == (0, {})
    told = [re.sub(r" \d+ IN ", " ", line).split(" ")[:3] for line in found["lines"] if not line.startswith(";")]
    assert sorted(told) == [
        ["+", "ns.safe.shop.example.", "A"],
        ["+", "ns.sub.shop.example.", "AAAA"],
        ["+", "ns1.shop.example.", "NSEC"],
        ["+", "sub.shop.example.", "NSEC"],
        ["-", "ns.safe.shop.example.", "A"],
        ["-", "ns1.shop.example.", "NSEC"],
        ["-", "sub.shop.example.", "NSEC"],
        ["-", "www.shop.example.", "RRSIG"],
    ]


def test_nsec3_are_compared_by_what_denies_and_a_sample_of_a_signed_zone_tells_nothing_that_is_not_so(
    capsys: pytest.CaptureFixture[str],
):
    method = Nsec3(2, "ab")
    owner = {
        name: method.hash(dns.name.from_text(f"{name}.shop.example."))
        for name in ("www", "apps", "*.apps", "sub", "safe")
    }
    planted = {
        rf"^({owner['www']}.shop.example. .* NSEC3 .*) A RRSIG": r"\1 A TXT RRSIG",
        rf"^({owner['apps']}.shop.example.) \d+ (IN NSEC3 .*)": r"\1 60 \2",
        rf"^({owner['*.apps']}.shop.example. .* NSEC3 .*) CNAME RRSIG": r"\1 CNAME TXT RRSIG",
        rf"^({owner['sub']}.shop.example. .* RRSIG NSEC3 .*)\n": "",
        rf"^({owner['safe']}.shop.example. .* RRSIG NSEC3 .*)\n": "",  # which no question shows
    }
    with internet(signed(method), signed(method), {OLD: "any"}) as net:
        same = compared(capsys, *sides(net), "--accept-partial", "--json")
        sampled = compared(capsys, *sides(net), "--accept-partial", "--json", "--sample", "3")
        net.servers[NEW].change("shop.example.", signed(method, planted)["shop.example."])
        other = compared(capsys, *sides(net), "--json")
    clean, few, found = (json.loads(done.stdout) for done in (same, sampled, other))
    assert (same.code, clean["lines"]) == (0, []), clean["findings"]
    assert clean["facts"]["new"]["not_compared"] == {"signatures and proofs of absence": 2}
    assert (sampled.code, few["lines"]) == (0, []), few["findings"]
    told = [re.sub(r" \d+ IN ", " ", line).split(" ")[:3] for line in found["lines"] if not line.startswith(";")]
    assert sorted((sign, name.partition(".")[0], kind) for sign, name, kind in told) == sorted(
        [(sign, owner[name], "NSEC3") for sign in "+-" for name in ("www", "apps", "*.apps")]
        + [("-", owner["sub"], "RRSIG")]
    )
