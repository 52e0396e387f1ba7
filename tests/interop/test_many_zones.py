"""A thousand zones from one primary, and a reload that leaves all but two of them alone."""

from typing import Any

import dns.rcode
import pytest
from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary, requires
from support.zones import small_zone_text

pytestmark = pytest.mark.timeout(180)

COUNT = 1000
NAMES = [f"zone-{number:04}.example" for number in range(COUNT)]
ADDED, REMOVED = "added.example", NAMES[500]

# What a reload may not change of a zone that it does not name.
UNTOUCHED = ("serial", "state", "generation", "last_success", "last_change", "last_transfer", "next_refresh", "expires")


def facts(status: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """By zone; times to a tenth of a second, since those to come are reckoned anew at each look."""
    return {zone["name"]: tuple(rounded(zone[field]) for field in UNTOUCHED) for zone in status["zones"]}


def rounded(value: Any) -> Any:
    return pytest.approx(value, abs=0.05) if isinstance(value, float) else value


def transfers(ours: Nameserver) -> float:
    """How many there were from the primary."""
    samples = ours.metrics().items()
    return sum(
        value for name, value in samples if name.startswith("nameserver_transfers_total{") and 'direction="in"' in name
    )


def test_a_thousand_zones_are_served_and_a_reload_touches_only_the_two_it_is_about() -> None:
    requires(*KnotPrimary.programs)
    key = new_key("transfer-key")
    zones = {name: small_zone_text(name, 100 + index) for index, name in enumerate([*NAMES, ADDED])}
    with KnotPrimary(zones, transfer_key=key) as primary:
        primary.start()
        with Nameserver(zones=NAMES, primary_port=primary.port, key=key, workers=2) as ours:
            ours.start(wait_ready=False)
            ours.wait(lambda: len(ours.status().get("zones", [])) == COUNT, what="the zones to be listed")
            ours.wait(lambda: all(zone["answering"] for zone in ours.status()["zones"]), 90, "every zone to be served")
            assert [ours.serial(name) for name in NAMES] == [100 + index for index in range(COUNT)]
            for name in NAMES[:: COUNT // 10]:
                assert ours.axfr(name) == primary.zone_records(name)
            before, counted, processes = facts(ours.status()), transfers(ours), ours.pids()
            assert counted == COUNT

            ours.zones.remove(REMOVED)
            ours.zones.append(ADDED)
            ours.reload()
            ours.wait(lambda: ours.serial(ADDED) == 100 + COUNT, what="the added zone")
            assert ours.query(REMOVED, "SOA").rcode() == dns.rcode.REFUSED
            after = facts(ours.status())
            assert set(after) == set(ours.zones)
            assert {name: after[name] for name in after if name != ADDED} == {
                name: before[name] for name in before if name != REMOVED
            }
            assert transfers(ours) == counted + 1
            assert ours.pids() == processes
            ours.stop()
