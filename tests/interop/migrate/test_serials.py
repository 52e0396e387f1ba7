"""`nameserver migrate serials` against a tree of real servers."""

import json

import pytest
from support.commands import nameserver
from support.internet import Internet, soa

pytestmark = pytest.mark.interop

ROOT, TLD, OLD, NEW = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.5.4"
TREE = {
    ROOT: {
        ".": f"$TTL 3600\n{soa('.')}@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
        f"net. NS ns.net.\nns.net. A {TLD}\n"
    },
    TLD: {
        "example.": f"$TTL 3600\n{soa('example.')}@ NS ns.example.\nns A {TLD}\n"
        f"shop NS ns1.shop\nshop NS ns.outside.net.\nns1.shop A {OLD}\n",
        "net.": f"$TTL 3600\n{soa('net.')}@ NS ns\nns A {TLD}\nns.outside A {NEW}\n",
    },
}


def shop(serial: int, more: str = "") -> dict[str, str]:
    text = f"$TTL 300\n{soa('shop.example.', serial)}@ NS ns1\n@ NS ns.outside.net.\nns1 A {OLD}\n{more}"
    return {"shop.example.": text}


@pytest.mark.parametrize(("behind", "code"), [(5, 0), (4, 1)])
def test_every_address_is_found_from_the_root_down_and_one_that_lags_is_named(behind: int, code: int):
    with Internet({**TREE, OLD: shop(5), NEW: shop(behind)}) as net:
        done = nameserver("migrate", "serials", "shop.example", *net.arguments, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["facts"]["newest"]) == (code, 5)
    ways = {(each["server"], each["address"], each["transport"]) for each in report["facts"]["servers"]}
    assert ways == {
        (name, f"{address}:{net.port}", transport)
        for name, address in (("ns1.shop.example", OLD), ("ns.outside.net", NEW))
        for transport in ("UDP", "TCP")
    }
    assert {finding["code"] for finding in report["findings"]} == ({"lags"} if code else set())


def test_a_server_that_only_the_zone_names_is_asked_too():
    extra = "127.0.5.9"
    with Internet({**TREE, OLD: shop(5, f"@ NS ns9\nns9 A {extra}\n"), NEW: shop(5), extra: shop(3)}) as net:
        done = nameserver("migrate", "serials", "shop.example", *net.arguments, "--json")
    named = {each["server"]: each["named_by"] for each in json.loads(done.stdout)["facts"]["servers"]}
    assert (done.returncode, named["ns9.shop.example"]) == (1, "zone")


def test_servers_that_are_given_are_asked_instead_and_silence_is_exit_code_3():
    with Internet({OLD: shop(5)}) as net:
        given = nameserver("migrate", "serials", "shop.example", f"@{OLD}:{net.port}", "--markdown")
        net.servers[OLD].stop()
        silent = nameserver("migrate", "serials", "shop.example", f"@{OLD}:{net.port}", "--timeout", "0.2")
        lost = nameserver("migrate", "serials", "shop.example", *net.arguments, "--timeout", "0.2")
    assert (given.returncode, silent.returncode, lost.returncode) == (0, 3, 3)
    assert "| 5 | current |" in given.stdout
    assert "no server of . answered" in lost.stderr
