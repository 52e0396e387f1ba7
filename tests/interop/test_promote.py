"""A real primary dies for good, ours takes its place and real secondaries follow; it is back, and all follow it again.

Knot, BIND ──▶ ours ──▶ Knot, NSD, BIND        and from `promote` to `demote`:  a zone file ──▶ ours ──▶ …
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.ask import Record, transfer
from support.daemon import new_key
from support.pair import Own
from support.peers import BindPrimary, KnotPrimary, Primary, Target, requires
from support.secondaries import BindSecondary, KnotSecondary, NsdSecondary, Secondary
from support.wait import wait_for
from support.zones import zone_text

ZONE = "example.com"
BELOW: tuple[type[Secondary], ...] = (KnotSecondary, NsdSecondary, BindSecondary)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=[KnotPrimary, BindPrimary], ids=lambda kind: kind.name)
def tree(request: pytest.FixtureRequest) -> Iterator[tuple[Primary, Own, list[Secondary]]]:
    requires(*request.param.programs, *(program for kind in BELOW for program in kind.programs))
    key = new_key("upstream-key")
    with ExitStack() as stack:
        ours = stack.enter_context(Own(workers=2, template={"min-refresh-time": '"1h"'}))
        zones = {ZONE: zone_text(ZONE, 1)}
        upstream = stack.enter_context(request.param(zones, transfer_key=key, notify=[Target(ours.port, key)]))
        below = [stack.enter_context(kind({ZONE: ours.port}, hurried=False)) for kind in BELOW]
        ours.keys.append(key)
        ours.remote("above", upstream.port, key)
        for each in below:
            ours.remote(each.name.lower(), each.port)
        told = json.dumps([each.name.lower() for each in below])
        anyone = '[{ address = "127.0.0.0/8" }]'
        ours.zone_table(ZONE, primaries='["above"]', also_notify=told, allow_transfer=anyone)
        upstream.start()
        ours.start()
        for each in below:
            each.start()
        yield upstream, ours, below


def all_at(below: list[Secondary], serial: int) -> None:
    for each in below:
        wait_for(lambda each=each: each.serial(ZONE) == serial, 60, f"{each.name} at {serial}", explain=each.explain)


def exported(ours: Own) -> list[str]:
    return ours.command("export", ZONE).splitlines()


def as_lines(records: list[Record]) -> list[str]:
    return [f"{record.owner} {record.ttl} IN {record.rdtype} {record.rdata}" for record in records]


def test_what_is_below_follows_a_promotion_the_edits_and_the_way_back(
    tree: tuple[Primary, Own, list[Secondary]],
) -> None:
    upstream, ours, below = tree
    all_at(below, 1)
    held = upstream.zone_records(ZONE)
    upstream.kill()
    ours.command("promote", ZONE)
    assert ours.axfr(ZONE) == held

    before = exported(ours)
    path = ours.directory / "state" / "primary" / f"{ZONE}.zone"
    assert path.read_text().splitlines() == before, "the file is the canonical one"
    text = path.read_text().replace(". 1 3600 ", ". 2 3600 ", 1)
    text = text.replace("192.0.2.5\n", "192.0.2.205\n").replace('"second string"', '"another string"')
    path.write_text(text + "$TTL 60\nnew A 192.0.2.7 ; by hand\n    AAAA 2001:db8::7\n")
    ours.command("reload")
    after = exported(ours)
    all_at(below, 2)

    sent = as_lines(transfer(ours.port, ZONE, since=1))
    middle = next(place for place, line in enumerate(sent) if place > 1 and line == sent[0])
    gone, come = set(sent[1:middle]), set(sent[middle:-1])
    assert gone == set(before) - set(after) and come == set(after) - set(before)
    assert len(gone) == 3 and len(come) == 5, "what was edited, and no more"
    for each in below:
        assert each.records(ZONE) == ours.axfr(ZONE), each.name

    upstream.write(ZONE, zone_text(ZONE, 9, extra="back A 192.0.2.9\n"))
    upstream.restart()
    wait_for(lambda: upstream.serial(ZONE) == 9, 30, "the primary to be back", explain=upstream.explain)
    ours.command("demote", ZONE)
    all_at(below, 9)
    wanted = upstream.zone_records(ZONE)
    assert ours.axfr(ZONE) == wanted
    for each in below:
        assert each.records(ZONE) == wanted, each.name
    upstream.update(ZONE, zone_text(ZONE, 10))
    ours.wait(lambda: ours.serial(ZONE) == 10, what="ours to follow it as before")
    all_at(below, 10)
