"""`migrate delegation` from real parents to real children, and `propagation` at a real resolver."""

import json

import pytest
from support.ask import LOOPBACK
from support.commands import nameserver
from support.internet import Internet, soa
from support.resolver import Unbound

pytestmark = pytest.mark.interop

ROOT, TLD1, TLD2, OLD, NEW = "127.0.5.1", "127.0.5.2", "127.0.6.2", "127.0.5.3", "127.0.6.4"
DS = "shop 3600 DS 12345 13 2 " + "ab" * 32 + "\n"
GLUE = f"ns1.shop A {OLD}\nns2.shop A {NEW}\n"


def tld(glue: str = GLUE, names: tuple[str, ...] = ("ns1", "ns2"), more: str = "") -> dict[str, str]:
    servers = "".join(f"shop 7200 NS {name}.shop\n" for name in names)
    text = f"$TTL 3600\n{soa('example.')}@ NS a.ns\n@ NS b.ns\na.ns A {TLD1}\nb.ns A {TLD2}\n{servers}{glue}{more}"
    return {"example.": text}


def shop(names: tuple[str, ...] = ("ns1", "ns2"), new: str = NEW) -> dict[str, str]:
    servers = "".join(f"@ NS {name}\n" for name in names)
    return {"shop.example.": f"$TTL 300\n{soa('shop.example.', 5)}{servers}ns1 A {OLD}\nns2 A {new}\nwww A 192.0.2.1\n"}


def world(one: dict[str, str], two: dict[str, str], old: dict[str, str], new: dict[str, str]) -> Internet:
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS a.ns.example.\nexample. NS b.ns.example.\n"
    root = {".": f"$TTL 3600\n{soa('.')}{top}a.ns.example. A {TLD1}\nb.ns.example. A {TLD2}\n"}
    return Internet({ROOT: root, TLD1: one, TLD2: two, OLD: old, NEW: new})


CASES = {
    "all agree": (tld(), tld(), shop(), shop(), set()),
    "one server of the parent is behind": (tld(), tld(names=("ns1",)), shop(), shop(), {"straggler"}),
    "the zone names other servers than the parent": (tld(), tld(), shop(("ns1",)), shop(), {"ns-mismatch"}),
    "glue is missing": (tld(f"ns1.shop A {OLD}\n"), tld(f"ns1.shop A {OLD}\n"), shop(), shop(), {"glue-missing"}),
    "glue is another address": (
        tld(GLUE.replace(NEW, "127.0.6.5")),
        tld(),
        shop(),
        shop(),
        {"glue-differs"},
    ),
    "a server does not have the zone": (tld(), tld(), shop(), {"other.example.": shop()["shop.example."]}, {"lame"}),
    "DS at one server of the parent": (tld(more=DS), tld(), shop(), shop(), {"ds-differs"}),
}


@pytest.mark.parametrize("name", list(CASES))
def test_what_is_wrong_with_a_delegation_is_named(name: str):
    one, two, old, new, codes = CASES[name]
    with world(one, two, old, new) as net:
        done = nameserver("migrate", "delegation", "shop.example", *net.arguments, "--json", "--timeout", "1")
    report = json.loads(done.stdout)
    faults = {finding["code"] for finding in report["findings"] if finding["level"] == "fault"}
    assert done.returncode == (1 if codes else 0), done.stdout
    assert codes <= faults
    assert (faults == codes) or name in ("glue is missing", "glue is another address")
    assert report["facts"]["parent_ns_ttl"] == 7200


def test_another_set_than_the_expected_one_is_a_straggler_at_every_server():
    with world(tld(), tld(), shop(), shop()) as net:
        words = ["migrate", "delegation", "shop.example", *net.arguments, "--expect"]
        done = nameserver(*words, "ns1.shop.example", "ns2.shop.example")
        moved = nameserver(*words, "ns9.shop.example")
    assert (done.returncode, moved.returncode) == (0, 1), done.stdout
    assert moved.stdout.count("(straggler)") == 2


def test_a_cache_that_counts_down_is_as_good_as_a_fresh_one_and_an_old_answer_is_told():
    text = shop()["shop.example."]
    with (
        Internet({OLD: {"shop.example.": text}}) as net,
        Unbound({"shop.example.": ""}, net.port, OLD, caches=True) as resolver,
    ):
        words = ["migrate", "propagation", "www.shop.example", "A", "--resolvers", f"{LOOPBACK}:{resolver.port}"]
        good = nameserver(*words, "--target", "300", "--expect", "192.0.2.1")
        net.servers[OLD].change("shop.example.", text.replace("192.0.2.1", "192.0.2.7").replace(" 5 ", " 6 "))
        stale = nameserver(*words, "--expect", "192.0.2.7")
        high = nameserver(*words, "--target", "60")
        silent = nameserver(*words[:-1], f"{LOOPBACK}:{net.port}", "--timeout", "0.3")
    assert good.returncode == 0, good.stdout + good.stderr
    assert (stale.returncode, high.returncode, silent.returncode) == (1, 1, 3)
    assert "still returns 192.0.2.1, for up to" in stale.stdout
    assert "(ttl-high)" in high.stdout


def test_where_the_way_from_the_root_is_closed_a_resolver_tells_whom_to_ask():
    parent = (
        f"$TTL 3600\n{soa('example.')}@ NS ns\nns A {TLD1}\nshop 7200 NS s1\nshop 7200 NS s2\ns1 A {OLD}\ns2 A {NEW}\n"
    )
    child = f"$TTL 300\n{soa('shop.example.', 5)}@ NS s1.example.\n@ NS s2.example.\n"
    zones = {TLD1: {"example.": parent}, OLD: {"shop.example.": child}, NEW: {"shop.example.": child}}
    with Internet(zones) as net, Unbound({"example.": ""}, net.port, TLD1) as resolver:
        asked = ["--resolver", f"{LOOPBACK}:{resolver.port}", "--port", str(net.port), "-4", "--timeout", "2"]
        good = nameserver("migrate", "delegation", "shop.example", *asked)
        given = nameserver("migrate", "delegation", "shop.example", *asked, "--parent", f"{TLD1}:{net.port}")
        lagging = nameserver("migrate", "serials", "shop.example", *asked)
        named = nameserver("migrate", "serials", "shop.example", "--resolver", "resolver.example")
        gone = nameserver("migrate", "serials", "shop.example", "--resolver", f"{LOOPBACK}:1", "--timeout", "0.2")
    assert (good.returncode, lagging.returncode) == (0, 0), good.stdout + good.stderr + lagging.stdout + lagging.stderr
    assert "s1.example" in good.stdout
    rows = [line.split() for line in good.stdout.splitlines() if line.startswith(("ns.example ", "s1.example "))]
    assert [("AA" in row) for row in rows] == [False, True], good.stdout  # a referral, and the zone's own answer
    assert given.returncode == 0, given.stdout
    assert "At the parent, the parent" not in good.stdout
    assert (named.returncode, gone.returncode) == (2, 3)
