"""`migrate inventory` asks the servers of the zones that are delegated below."""

import json

import pytest
from support.commands import nameserver
from support.internet import Internet, soa

pytestmark = pytest.mark.interop

ROOT, HOST, FAR = "127.0.5.1", "127.0.5.3", "127.0.6.4"
TOP = f"$TTL 3600\n{soa('.')}@ NS a.root.\na.root. A {ROOT}\nnet. NS ns.net.\nns.net. A {FAR}\n"
BODY = f"""@ NS ns1
ns1 A {HOST}
a NS ns.a
a NS far.net.
ns.a A {FAR}
b NS ns.a
c NS far.net.
d NS gone.net.
"""


def run(*words: str) -> tuple[int, dict, str]:
    child = {f"{name}.shop.example.": f"$TTL 300\n{soa(name, 7)}@ NS far.net.\n" for name in "ac"}
    net_zone = f"$TTL 300\n{soa('net.')}@ NS ns\nns A {FAR}\nfar A {FAR}\n"
    servers = {
        ROOT: {".": TOP},
        HOST: {"shop.example.": f"$TTL 300\n{soa('shop.example.', 5)}{BODY}"},
        FAR: {"net.": net_zone, **child},
    }
    with Internet(servers, (), {HOST: "any"}) as net:
        asked = ["migrate", "inventory", "shop.example", f"@{HOST}:{net.port}", *net.arguments, "-4", *words]
        done = nameserver(*asked, "--json")
        shown = nameserver(*asked)
    return done.returncode, json.loads(done.stdout), shown.stdout


def test_every_server_of_every_delegation_is_asked_and_who_does_not_answer_is_named():
    code, report, shown = run()
    assert code == 0
    told = {(each["code"], each["text"].split(" ")[0]) for each in report["findings"] if "child" in each["code"]}
    assert ("child-lame", "b.shop.example.") in told
    assert ("child-no-address", "d.shop.example.") in told
    assert not any(owner in ("a.shop.example.", "c.shop.example.") for _, owner in told), told
    assert report["facts"]["children"]["asked"] == 4
    assert report["facts"]["children"]["dead"] == ["b.shop.example.", "d.shop.example."]
    assert "serial 7" in shown


def test_how_many_delegations_are_asked_is_bounded_and_what_is_left_is_told():
    _, report, _ = run("--children", "1")
    assert report["facts"]["children"]["asked"] == 1
    assert any(each["code"] == "children-left" and "3 more" in each["text"] for each in report["findings"])
    _, report, _ = run("--children", "0")
    assert "children" not in report["facts"]
