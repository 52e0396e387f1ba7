"""TTLs that are too high, and when what was cached has run out."""

from dataclasses import replace

import pytest

from nameserver.migrate.asking.zone_stream import ZoneStream, make_record
from nameserver.migrate.checks import snapshot, ttl
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.checks.query_counts import Look
from nameserver.wire import codes, names
from nameserver.zone.soa import parse_soa
from nameserver.zone.sorted_places import canonical_place

ZONE = b"\x07example\x03com\x00"
DAY = 86400


def stream(ttls: dict[str, int], *, minimum: int = 300, soa_ttl: int = 300) -> ZoneStream:
    head = names.from_text("ns1.example.com.") + names.from_text("hostmaster.example.com.")
    rdata = head + b"".join(number.to_bytes(4, "big") for number in (7, 3600, 900, 1209600, minimum))
    lines = [
        make_record(canonical_place(names.from_text(f"{owner}.")[:-1]), codes.A, bytes(4), value)
        for owner, value in ttls.items()
    ]
    return ZoneStream(ZONE, parse_soa(rdata), rdata, soa_ttl, sorted(lines))


def taken(ttls: dict[str, int], **soa: int) -> snapshot.Snapshot:
    old = stream(ttls, **soa)
    return snapshot.take(old, take_stock(old), "192.0.2.1", 0.0)[0]


def test_a_snapshot_of_lowered_ttls_does_not_tell_what_they_were():
    zone = stream({"a": 300})
    baseline = replace(taken({"a": 300}), taken=2000.0)
    report = ttl.judge(zone, take_stock(zone), 300, baseline=baseline, lowered_at=1000.0, now=1000.0 + 90 * DAY)
    assert report.faults == {"snapshot-late"}
    assert report.verdict == "The TTLs are low; what they were before is not known."


def test_what_is_above_the_target_is_listed_largest_first():
    zone = stream({"a": 300, "b": 3600, "c": DAY})
    report = ttl.judge(zone, take_stock(zone), 300)
    assert (report.exit_code, [row[:2] for row in report.tables[0].rows]) == (
        1,
        [(str(DAY), "c.example.com."), ("3600", "b.example.com.")],
    )


@pytest.mark.parametrize(
    ("soa", "code"), [({"minimum": 3600}, "soa-minimum-high"), ({"soa_ttl": 3600}, "soa-ttl-high")]
)
def test_the_soas_own_ttl_and_its_minimum_are_findings_apart(soa: dict[str, int], code: str):
    zone = stream({"a": 300}, **soa)
    assert [finding.code for finding in ttl.judge(zone, take_stock(zone), 300).findings] == [code]


@pytest.mark.parametrize(
    ("largest", "wait"),
    [(3600, 48 * 3600), (DAY, 48 * 3600), (7 * DAY, 14 * DAY)],
)
def test_the_cut_over_waits_for_the_longest_term(largest: int, wait: int):
    zone = stream({"a": 300})
    baseline = taken({"a": largest})
    early = ttl.judge(zone, take_stock(zone), 300, baseline=baseline, lowered_at=1000.0, now=1000.0 + wait - 1)
    late = ttl.judge(zone, take_stock(zone), 300, baseline=baseline, lowered_at=1000.0, now=1000.0 + wait)
    assert (early.exit_code, [finding.code for finding in early.findings]) == (1, ["too-early"])
    assert early.verdict.startswith("Every TTL is 300 s or less; those of before run out at 19")
    assert (late.exit_code, [finding.code for finding in late.findings]) == (0, ["aged"])
    assert late.facts["safe_from"] == 1000.0 + wait


def test_a_zone_of_nothing_but_its_soa_is_no_snapshot():
    zone = stream({})
    with pytest.raises(snapshot.SnapshotError, match="nothing that could be restored"):
        snapshot.take(zone, take_stock(zone), "192.0.2.1", 0.0)


def load(ttls: dict[str, int], *looks: Look, baseline: snapshot.Snapshot | None = None) -> list[tuple[str, ...]]:
    zone = stream(ttls)
    report = ttl.judge(zone, take_stock(zone), 300)
    ttl.tell_load(report, looks, 1100.0, baseline)
    return [row for table in report.tables if table.title == "Queries a second" for row in table.rows]


def test_what_the_zone_gets_is_told_with_what_it_will_get_at_most():
    assert load({"a": 3600, "b": 600}, Look(50, 1000.0)) == [
        ("on average since 1970-01-01 00:16:40 UTC", "0.5"),
        ("with every TTL at 300 s, at most", "6"),
    ]


def test_the_counts_of_several_servers_are_added_each_over_its_own_time():
    assert load({"a": 300}, Look(50, 1000.0), Look(100, 600.0))[0][1] == "0.7"


def test_with_the_ttls_lowered_it_tells_what_it_was_at_least():
    rows = load({"a": 300}, Look(60, 1000.0), baseline=taken({"a": 1800}))
    assert rows[1] == ("at the TTLs of the snapshot, at least", "0.1")


def test_a_server_that_does_not_tell_since_when_it_counts_is_no_estimate():
    assert load({"a": 3600}, Look(50, 1000.0), Look(50)) == []
