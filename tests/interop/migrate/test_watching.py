"""`nameserver migrate compare --watch`: drift is measured on and on, also past a side that is gone for a while."""

import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.commands import nameserver
from support.internet import Internet, soa
from support.process import Child, free_port
from support.wait import wait_for

pytestmark = pytest.mark.interop

OLD, NEW, ZONE = "127.0.5.3", "127.0.5.4", "shop.example."


def text(*lines: str) -> str:
    return f"$TTL 300\n{soa(ZONE, 5)}@ NS ns1\nns1 A 192.0.2.53\n" + "".join(f"{line}\n" for line in lines)


def gauges(page: str) -> dict[str, float]:
    """By name without its prefix; every one is of this zone and this peer."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            assert sample.labels["zone"] == "shop.example"
            found[sample.name.removeprefix("nameserver_parity_")] = sample.value
    return found


def test_drift_is_seen_and_a_side_that_is_gone_ends_nothing(tmp_path: Path):
    with Internet(
        {OLD: {ZONE: text("www A 192.0.2.1")}, NEW: {ZONE: text("www A 192.0.2.1")}}, (), {OLD: "any", NEW: "any"}
    ) as net:
        port, file = free_port(), tmp_path / "parity.prom"
        sides = ["--old", f"{OLD}:{net.port}", "--new", f"{NEW}:{net.port}", "--timeout", "0.5"]
        watch = ["--watch", "0.2", "--metrics", f"127.0.0.1:{port}", "--metrics-file", str(file)]
        words = [sys.executable, "-m", "nameserver", "migrate", "compare", "shop.example", *sides, *watch]
        child = Child(words, tmp_path / "log")

        def seen() -> dict[str, float]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                return gauges(page.read().decode())

        def until(what: str, condition: object) -> None:
            wait_for(condition, 30, what, explain=lambda: child.log[-4000:])

        try:
            until(
                "a first comparison",
                lambda: child.alive and file.exists() and gauges(file.read_text())["differences"] == 0,
            )
            assert seen()["last_success_timestamp_seconds"] > 0
            net.servers[NEW].stop()
            until("the side that is gone is noticed", lambda: "PARITY IS NOT PROVEN" in child.log)
            last = seen()["last_success_timestamp_seconds"]
            net.servers[NEW].change(ZONE, text("www A 192.0.2.7", "x A 192.0.2.8"))
            until("the drift is seen", lambda: seen()["differences"] == 3)
            found = seen()
            assert found["last_compared_timestamp_seconds"] > found["last_success_timestamp_seconds"] >= last
            net.servers[NEW].change(ZONE, text("www A 192.0.2.1").replace(" 1209600 ", " 604800 "))
            until("an SOA with another expire is drift too", lambda: seen()["differences"] == 1)
            net.servers[NEW].change(ZONE, text("www A 192.0.2.1"))
            until("parity again", lambda: seen()["differences"] == 0)
            until("and when", lambda: seen()["last_success_timestamp_seconds"] > last)
            assert child.alive
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--metrics", "localhost:9531", "expected an address of ours"),
        ("--metrics", "192.0.2.1:9531", "--metrics: "),
        ("--metrics-file", "/nowhere/parity.prom", "/nowhere/parity.prom: "),
    ],
)
def test_metrics_that_cannot_be_had_are_told_before_anybody_relies_on_them(option: str, value: str, said: str):
    sides = ["--old", "127.0.0.1:9", "--new", "127.0.0.2:9", "--timeout", "0.2"]
    done = nameserver("migrate", "compare", "shop.example", *sides, "--watch", "60", option, value, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
