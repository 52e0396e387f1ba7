"""RFC 1995 (IXFR) as a client: how an answer is read, and how strictly differences are applied.

Cases named i00 … i17 are the matrix of misbehaving primaries: we hold serial 5, the primary offers 6 (8 in i05).
What is refused here is followed by one AXFR from the same primary; that is the caller's part.
"""

import pytest
from support.transfer_messages import APEX, MAIL, NOW, NS, QUERY_ID, WWW, build, inbound, lines, message, rr, soa

from nameserver.errors import Reason, TransferError, ZoneError
from nameserver.transfer.inbound import FullTransfer, Got, InboundTransfer, IncrementalTransfer, TransferKind, UpToDate
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.zone.changes import Applied, apply_changes

IXFR = TransferKind.IXFR
NEW = rr("new 300 A 192.0.2.7")
HELD = build(soa(5), NS, WWW, MAIL)


def answer(*messages, ours=5, limits=None):
    """What the messages (each a list of records) amount to."""
    transfer = inbound(IXFR, ours, limits)
    *first, last = messages
    assert not any(transfer.feed(message(*each, kind=IXFR), NOW) for each in first)
    assert transfer.feed(message(*last, kind=IXFR), NOW)
    return transfer.result()


def refused(*messages, ours=5, limits=None) -> TransferError:
    transfer = inbound(IXFR, ours, limits)
    with pytest.raises(TransferError) as caught:
        for each in messages:
            assert not transfer.feed(message(*each, kind=IXFR), NOW), "taken as complete"
    return caught.value


def applied(*records) -> Applied:
    """The answer read, and applied to the held version."""
    result = answer(records)
    assert isinstance(result, IncrementalTransfer)
    return apply_changes(HELD.nodes.get, result.changesets, HELD.apex_as_received, TransferLimits())


def after(changes: Applied) -> list[str]:
    """The held version with the changes: lines of a zone file."""
    nodes = dict(HELD.nodes)
    for key, node in changes.nodes.items():
        if node is None:
            del nodes[key]
        else:
            nodes[key] = node
    assert changes.records_delta == len(list_all(nodes)) - len(list_all(HELD.nodes))
    assert changes.size_delta == size(nodes) - size(HELD.nodes)
    return lines(nodes)


def list_all(nodes):
    return [*lines(nodes), "SOA"]


def size(nodes):
    return sum(len(key) + len(node) for key, node in nodes.items())


def mismatch(*records) -> ZoneError:
    with pytest.raises(ZoneError) as caught:
        applied(*records)
    return caught.value


def test_i00_differences_lead_from_our_version_to_the_primarys():
    changes = applied(soa(6), soa(5), WWW, soa(6), NEW, soa(6))
    assert (changes.soa.serial, changes.records_delta) == (6, 0)
    assert changes.nodes[b"\3www"] is None
    assert after(changes) == lines(build(soa(6), NS, NEW, MAIL).nodes)
    assert changes.soa_rdata == soa(6).rdata


def test_a_chain_of_differences_is_read_in_any_cutting():
    chain = [soa(8), soa(5), WWW, soa(6), NEW, soa(6), NEW, soa(7), soa(7), soa(8), WWW, soa(8)]
    whole, single = answer(chain), answer(*([record] for record in chain))
    assert whole == single
    assert [(step.old_serial, step.new_serial) for step in whole.changesets] == [(5, 6), (6, 7), (7, 8)]
    assert whole.serial == 8
    changes = apply_changes(HELD.nodes.get, whole.changesets, APEX, TransferLimits())
    assert set(changes.nodes) == {b""}, "www went and came back, new came and went"


def test_a_single_soa_with_our_serial_means_up_to_date():
    """§4."""
    transfer = inbound(IXFR, 5)
    assert transfer.feed(message(soa(5), kind=IXFR), NOW)
    assert transfer.result() == UpToDate(5)
    assert transfer.stats.got is Got.UP_TO_DATE


def test_i01_a_single_newer_soa_is_not_complete():
    transfer = inbound(IXFR, 5)
    assert not transfer.feed(message(soa(6), kind=IXFR), NOW)


@pytest.mark.parametrize("record", [NEW, WWW._replace(rdata=b"\1\2\3\4"), WWW._replace(type=codes.TXT, rdata=b"\1x")])
def test_i02_deleting_what_is_not_there_is_a_mismatch(record):
    error = mismatch(soa(6), soa(5), record, soa(6), soa(6))
    assert error.reason is Reason.IXFR_MISMATCH
    assert error.detail.startswith("the step from serial 5 to 6 deletes ")


def test_deleting_a_record_twice_is_a_mismatch():
    """As some primaries do; a full transfer follows."""
    assert mismatch(soa(6), soa(5), WWW, WWW, soa(6), soa(6)).reason is Reason.IXFR_MISMATCH


def test_i03_adding_what_is_there_is_a_mismatch():
    assert mismatch(soa(6), soa(5), soa(6), WWW, soa(6)).reason is Reason.IXFR_MISMATCH
    assert mismatch(soa(6), soa(5), soa(6), NEW, NEW, soa(6)).reason is Reason.IXFR_MISMATCH


def test_an_old_soa_other_than_ours_is_a_mismatch():
    """Same serial, other contents: the versions have parted."""
    assert mismatch(soa(6), soa(5, rname="other"), soa(6), soa(6)).reason is Reason.IXFR_MISMATCH


def test_i04_differences_that_start_elsewhere_are_refused():
    assert refused([soa(6), soa(4), WWW, soa(6), NEW, soa(6)]).reason is Reason.IXFR_HISTORY_GAP


def test_i05_a_gap_in_the_chain_is_refused():
    chain = [soa(8), soa(5), soa(6), NEW, soa(7), NEW, soa(8), WWW, soa(8)]
    error = refused(chain)
    assert error.reason is Reason.IXFR_HISTORY_GAP
    assert error.detail == "the differences reach serial 6 and go on from 7; the primary's version is 8"


def test_a_chain_that_ends_before_the_primarys_version_is_refused():
    assert refused([soa(8), soa(5), soa(6), NEW, soa(8)]).reason is Reason.IXFR_HISTORY_GAP


def test_a_closing_soa_with_other_contents_is_refused():
    assert refused([soa(6), soa(5), soa(6), NEW, soa(6, rname="other")]).reason is Reason.SOA_IN_MIDDLE


@pytest.mark.parametrize("cut", range(1, 6))
def test_i06_a_whole_zone_in_answer_to_ixfr_is_taken(cut):
    """§4, in any cutting into messages."""
    zone = [soa(6), NS, NEW, MAIL, WWW, soa(6)]
    result = answer(zone[:cut], zone[cut:])
    assert isinstance(result, FullTransfer)
    assert lines(result.built.nodes) == lines(build(*zone[:-1]).nodes)


def test_a_whole_zone_with_our_own_serial_is_for_the_caller_to_judge():
    result = answer([soa(5), NS, NEW, soa(5)])
    assert isinstance(result, FullTransfer) and result.built.soa.serial == 5


def test_a_whole_zone_cut_short_is_not_complete():
    transfer = inbound(IXFR, 5)
    assert not transfer.feed(message(soa(6), NS, NEW, kind=IXFR), NOW)
    assert transfer.stats.got is Got.AXFR_STYLE


def test_i07_two_soas_and_nothing_else_are_no_zone():
    assert refused([soa(6), soa(6)]).reason is Reason.NO_NS
    assert refused([soa(5), soa(5)]).reason is Reason.NO_NS


def test_i08_differences_that_leave_the_apex_without_ns_are_refused():
    assert mismatch(soa(6), soa(5), NS, soa(6), soa(6)).reason is Reason.NO_NS


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [(codes.REFUSED, Reason.REFUSED), (codes.FORMERR, Reason.FORMERR), (codes.NOTAUTH, Reason.NOTAUTH_ZONE)],
)
def test_i10_to_i12_an_error_is_reported_as_its_rcode(rcode, reason):
    transfer = inbound(IXFR, 5)
    with pytest.raises(TransferError) as caught:
        transfer.feed(message(kind=IXFR, flags=codes.QR | rcode), NOW)
    assert caught.value.reason is reason


def test_i13_differences_cut_anywhere_are_not_complete():
    chain = [soa(7), soa(5), WWW, soa(6), NEW, soa(6), NEW, soa(7), WWW, soa(7)]
    for cut in range(1, len(chain)):
        transfer = inbound(IXFR, 5)
        assert not transfer.feed(message(*chain[:cut], kind=IXFR), NOW)


def test_i14_an_older_soa_is_refused():
    assert refused([soa(4)]).reason is Reason.SERIAL_BACKWARDS


def test_a_serial_half_the_circle_away_is_refused():
    """RFC 1982 §3.2."""
    assert refused([soa((5 + 2**31) % 2**32)]).reason is Reason.SERIAL_UNDEFINED


@pytest.mark.parametrize(("ours", "theirs"), [(2**32 - 1, 0), (2**31 - 1, 2**31), (0, 2**31 - 1)])
def test_serials_wrap(ours, theirs):
    result = answer([soa(theirs), soa(ours), soa(theirs), soa(theirs)], ours=ours)
    assert result.serial == theirs


def test_i15_the_ttl_of_a_deleted_record_does_not_matter():
    assert applied(soa(6), soa(5), WWW._replace(ttl=7), soa(6), soa(6)).nodes[b"\3www"] is None


def test_i16_letter_case_does_not_matter_when_deleting():
    record = rr("@ 3600 NS NS1")._replace(owner=b"\7EXAMPLE\3COM\0")
    changes = applied(soa(6), soa(5), record, soa(6), rr("@ 3600 NS ns2"), soa(6))
    assert "example.com. 3600 IN NS ns2.example.com." in after(changes)


def test_i17_additions_outside_the_zone_are_left_out_and_counted():
    foreign = rr("www.example.org. 300 A 192.0.2.9")
    changes = applied(soa(6), soa(5), foreign, soa(6), foreign, NEW, soa(6))
    assert after(changes) == lines(build(soa(6), NS, WWW, MAIL, NEW).nodes)
    assert changes.tally.out_of_zone == 2
    assert changes.tally.warnings() == ["2 records outside the zone were left out, first www.example.org"]


def test_a_record_of_another_class_is_refused():
    assert refused([soa(6), soa(5), soa(6), NEW._replace(rdclass=codes.CH), soa(6)]).reason is Reason.WRONG_CLASS


def test_an_soa_of_another_owner_within_the_differences_is_refused():
    foreign = soa(6)._replace(owner=b"\3sub" + APEX)
    assert refused([soa(6), soa(5), foreign, NEW, soa(6)]).reason is Reason.SOA_IN_MIDDLE


def test_a_record_after_the_closing_soa_is_refused():
    assert refused([soa(6), soa(5), soa(6), NEW, soa(6), WWW]).reason is Reason.SOA_IN_MIDDLE
    assert refused([soa(6), soa(5), soa(6), NEW, soa(6), soa(6)]).reason is Reason.SOA_IN_MIDDLE


@pytest.mark.parametrize("limits", [TransferLimits(max_bytes=2000), TransferLimits(max_records=50)])
def test_differences_larger_than_a_zone_may_be_are_given_up(limits):
    transfer = inbound(IXFR, 5, limits)
    transfer.feed(message(soa(6), soa(5), kind=IXFR), NOW)
    with pytest.raises(TransferError) as caught:
        for _ in range(100):
            transfer.feed(message(NEW, kind=IXFR), NOW)
    assert caught.value.reason is Reason.IXFR_TOO_BIG


def test_ixfr_needs_the_serial_we_hold():
    with pytest.raises(ValueError, match="serial"):
        inbound(IXFR, None)


def test_differences_may_be_bounded_by_the_size_of_what_they_change():
    transfer = InboundTransfer(APEX, IXFR, QUERY_ID, 5, TransferLimits(), max_difference=2000)
    transfer.feed(message(soa(6), soa(5), kind=IXFR), NOW)
    with pytest.raises(TransferError) as caught:
        for _ in range(100):
            transfer.feed(message(NEW, kind=IXFR), NOW)
    assert caught.value.reason is Reason.IXFR_TOO_BIG
