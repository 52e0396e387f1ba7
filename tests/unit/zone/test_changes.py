"""Applying differences to packed nodes, and finding them; the answers of primaries are in tests/rfc/test_rfc1995_*."""

import pytest
from support.transfer_messages import APEX, MAIL, NS, WWW, build, lines, rr, soa

from nameserver.errors import Reason, ZoneError
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.zone.changes import Applied, Changeset, apply_changes, diff, differs

LIMITS = TransferLimits()
HELD = build(soa(5), NS, WWW, MAIL)


def change(deleted, added, held=HELD, limits=LIMITS, **sizes) -> Applied:
    """One step from 5 to 6 applied to the held version."""
    step = Changeset(5, 6, [soa(5), *deleted], [soa(6), *added])
    return apply_changes(held.nodes.get, [step], held.apex_as_received, limits, **sizes)


def merged(held, changes) -> dict[bytes, bytes]:
    nodes = {**held.nodes, **changes.nodes}
    return {key: node for key, node in nodes.items() if node is not None}


def test_only_nodes_that_changed_are_replaced():
    changes = change([WWW], [WWW])
    assert set(changes.nodes) == {b""}
    assert (changes.records_delta, changes.soa.serial) == (0, 6)


def test_no_changes_change_nothing():
    changes = apply_changes(HELD.nodes.get, [], APEX, LIMITS)
    assert (changes.nodes, changes.soa.serial) == ({}, 5)


def test_a_changed_ttl_is_a_record_deleted_and_added():
    changes = change([WWW], [WWW._replace(ttl=60)])
    assert "www.example.com. 60 IN A 192.0.2.1" in lines(merged(HELD, changes))


def test_an_addition_under_another_ttl_lowers_the_rrsets():
    changes = change([], [rr("www 60 A 192.0.2.2")])
    assert [line.split()[1] for line in lines(merged(HELD, changes)) if "www" in line] == ["60", "60"]
    assert changes.tally.mixed_ttl == 1


def test_the_case_of_an_owner_stays_until_the_owner_goes():
    upper = WWW._replace(owner=b"\3WWW" + APEX, rdata=b"\1\1\1\1")
    assert b"WWW" not in change([], [upper]).nodes[b"\3www"]
    assert b"\3WWW" + APEX in change([WWW], [upper]).nodes[b"\3www"]
    again = build(soa(5), NS, upper)
    assert b"\3WWW" + APEX in change([], [WWW], again).nodes[b"\3www"]


def test_signatures_are_told_apart_by_the_type_covered():
    sig_a, sig_txt = (rr(f"www 300 RRSIG {kind} 8 3 300 0 0 1 . Qg==") for kind in ("A", "TXT"))
    held = build(soa(5), NS, WWW, sig_a, sig_txt)
    after = merged(held, change([sig_txt], [], held))
    assert after[b"\3www"] == build(soa(6), NS, WWW, sig_a).nodes[b"\3www"]


@pytest.mark.parametrize(
    ("deleted", "added", "reason"),
    [
        ([], [rr("www 300 CNAME mail")], Reason.CNAME_CONFLICT),
        ([NS], [], Reason.NO_NS),
        ([], [soa(7)], Reason.SOA_IN_MIDDLE),
        ([], [soa(7)._replace(owner=WWW.owner)], Reason.SOA_IN_MIDDLE),
        ([], [rr("www 300 DNAME mail"), rr("x.www 300 A 192.0.2.1")], Reason.CNAME_CONFLICT),
        ([], [WWW._replace(rdclass=codes.CH)], Reason.WRONG_CLASS),
        ([WWW._replace(rdclass=codes.CH)], [], Reason.WRONG_CLASS),
    ],
)
def test_the_outcome_must_be_a_zone_to_be_served(deleted, added, reason):
    with pytest.raises(ZoneError) as caught:
        change(deleted, added)
    assert caught.value.reason is reason


def test_an_apex_without_soa_is_refused():
    with pytest.raises(ZoneError) as caught:
        apply_changes(HELD.nodes.get, [Changeset(5, 6, [soa(5)], [])], APEX, LIMITS)
    assert caught.value.reason is Reason.NO_SOA


@pytest.mark.parametrize(
    ("limits", "sizes", "reason"),
    [
        (TransferLimits(max_records=4), {"records_held": 4}, Reason.LIMIT_RECORDS),
        (TransferLimits(max_bytes=300), {"size_held": 290}, Reason.LIMIT_BYTES),
        (TransferLimits(max_rrset_records=1), {}, Reason.LIMIT_RRSET),
        (TransferLimits(max_types_per_name=1), {}, Reason.LIMIT_TYPES),
    ],
)
def test_limits_hold(limits, sizes, reason):
    added = [rr('www 300 TXT "b"')] if reason is Reason.LIMIT_TYPES else [rr("www 300 A 192.0.2.2")]
    with pytest.raises(ZoneError) as caught:
        change([], added, limits=limits, **sizes)
    assert caught.value.reason is reason


def test_a_difference_is_found_and_leads_there():
    new = build(soa(6), NS, WWW._replace(ttl=5), rr("www 5 A 192.0.2.2"), rr("x 1 A 192.0.2.3"))
    step = diff(HELD.nodes, new.nodes, APEX)
    assert (step.old_serial, step.new_serial, step.deleted[0], step.added[0]) == (5, 6, soa(5), soa(6))
    assert {record.owner for record in step.deleted[1:]} == {WWW.owner, MAIL.owner}
    assert merged(HELD, apply_changes(HELD.nodes.get, [step], APEX, LIMITS)) == new.nodes


def test_a_difference_in_case_only_is_found():
    new = build(soa(6), NS, WWW._replace(owner=b"\3WWW" + APEX), MAIL)
    step = diff(HELD.nodes, new.nodes, APEX)
    assert merged(HELD, apply_changes(HELD.nodes.get, [step], APEX, LIMITS)) == new.nodes


def test_versions_without_soa_have_no_difference():
    with pytest.raises(ZoneError) as caught:
        diff(HELD.nodes, {}, APEX)
    assert caught.value.reason is Reason.NO_SOA


def test_a_record_of_the_apex_may_be_added_once_more_as_it_is():
    """NSD makes its differences so; elsewhere, or under another TTL, our copy and the primary's have parted."""
    changes = change([], [NS])
    assert set(changes.nodes) == {b""}
    assert changes.tally.warnings() == ["1 records of the apex were added once more as they were"]
    for added in (NS._replace(ttl=NS.ttl + 1), WWW):
        with pytest.raises(ZoneError) as caught:
            change([], [added])
        assert caught.value.reason is Reason.IXFR_MISMATCH


@pytest.mark.parametrize(
    ("records", "other"),
    [
        ([MAIL, NS, WWW], False),
        ([NS, WWW, MAIL._replace(owner=MAIL.owner.upper())], True),
        ([NS, WWW._replace(ttl=60), MAIL], True),
        ([NS, WWW._replace(rdata=b"\1\2\3\4"), MAIL], True),
        ([NS, MAIL], False),
        ([NS, WWW, MAIL, rr("new 1 A 192.0.2.9")], True),
    ],
    ids=["same", "other case", "other TTL", "other data", "fewer owners", "new owner"],
)
def test_versions_differ_by_their_records(records, other):
    new = build(soa(5), *records)
    assert differs(HELD.nodes.get, new.nodes, APEX) is other


def test_the_order_within_an_rrset_makes_no_difference():
    pair = [rr("www 300 A 192.0.2.1"), rr("www 300 A 192.0.2.2")]
    there, here = build(soa(5), NS, *pair), build(soa(5), NS, *reversed(pair))
    assert there.nodes != here.nodes
    assert not differs(here.nodes.get, there.nodes, APEX)
