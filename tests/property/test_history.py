"""Histories: differences lead where they say, condensed ones too, however the versions were cut into slices."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property.test_transfers import KEY, LIMITS, comparable, contents, merge, zone
from support.transfer_messages import APEX, MAIL, NOW, QUERY_ID, WWW, inbound, soa

from nameserver.transfer.inbound import IncrementalTransfer, TransferKind
from nameserver.transfer.outbound_ixfr import ixfr_messages
from nameserver.wire import codes
from nameserver.wire.rrset import Record, RRset
from nameserver.wire.tsig import StreamSigner, StreamVerifier, signature_size
from nameserver.zone.changes import Applied, Changeset, apply_changes, diff
from nameserver.zone.difference import difference, slices_of
from nameserver.zone.history import PackedStep, condense, pack_changeset, unpack_changeset

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Nodes = dict[bytes, bytes]
versions = st.lists(contents, min_size=2, max_size=5)


def applied(nodes: Nodes, *steps: Changeset) -> Applied:
    return apply_changes(nodes.get, steps, APEX, LIMITS)


def cut(nodes: Nodes, places: list[int]) -> list[list[tuple[bytes, bytes]]]:
    """Slices of a version, cut at these places."""
    items = sorted(nodes.items())
    ends = sorted({0, len(items), *(place % len(items) for place in places)})
    return [items[start:end] for start, end in pairwise(ends)]


@QUICK
@given(contents, contents, st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_a_difference_made_slice_by_slice_leads_from_one_version_to_the_other(old, new, cuts, other_cuts) -> None:
    before, after = zone(1, old).nodes, zone(2, new).nodes
    step = difference(cut(before, cuts), cut(after, other_cuts), APEX, 1 << 20)
    assert step is not None
    changeset = unpack_changeset(step)
    assert comparable(merge(before, applied(before, changeset).nodes)) == comparable(after)
    whole = diff(before, after, APEX)
    assert set(changeset.deleted) == set(whole.deleted) and set(changeset.added) == set(whole.added)


@QUICK
@given(contents, contents, st.integers(0, 2000))
def test_it_never_takes_more_than_it_may(old, new, limit) -> None:
    before, after = zone(1, old).nodes, zone(2, new).nodes
    whole = difference(slices_of(before), slices_of(after), APEX, 1 << 20)
    assert whole is not None
    ends = unpack_changeset(whole)
    size = whole.size - sum(len(soa.rdata) + 10 + 2 for soa in (ends.deleted[0], ends.added[0]))
    bounded = difference(slices_of(before), slices_of(after), APEX, limit)
    assert bounded == (whole if size <= limit else None)


@QUICK
@given(versions)
def test_any_chain_of_changes_condensed_does_what_they_do_one_by_one(contents_of) -> None:
    nodes = [zone(serial, content).nodes for serial, content in enumerate(contents_of, 1)]
    steps = [diff(before, after, APEX) for before, after in pairwise(nodes)]
    one = condense([pack_changeset(step, APEX) for step in steps], APEX)
    assert (one.old_serial, one.new_serial) == (1, len(nodes))
    assert one.size <= sum(pack_changeset(step, APEX).size for step in steps)
    by_one = merge(nodes[0], applied(nodes[0], unpack_changeset(one)).nodes)
    one_by_one = merge(nodes[0], applied(nodes[0], *steps).nodes)
    assert comparable(by_one) == comparable(one_by_one) == comparable(nodes[-1])


@QUICK
@given(versions, st.data())
def test_steps_as_they_took_effect_lead_to_the_same_version_whatever_was_written_in_them(contents_of, data) -> None:
    """A primary may spell what it deletes otherwise, in case and TTL; and several TTLs of one RRset are put right."""
    nodes = [zone(serial, content).nodes for serial, content in enumerate(contents_of, 1)]
    sloppy = []
    for step in (diff(before, after, APEX) for before, after in pairwise(nodes)):
        deleted = [
            each._replace(owner=data.draw(st.sampled_from([each.owner, each.owner.swapcase()])), ttl=each.ttl // 2)
            for each in step.deleted
        ]
        added = [each._replace(ttl=each.ttl + data.draw(st.integers(0, 1))) for each in step.added]
        sloppy.append(Changeset(step.old_serial, step.new_serial, deleted, added))
    came = applied(nodes[0], *sloppy)
    wanted = merge(nodes[0], came.nodes)
    again = applied(nodes[0], *came.steps)
    assert comparable(merge(nodes[0], again.nodes)) == comparable(wanted)
    assert again.tally.mixed_ttl == 0
    packed = [pack_changeset(step, APEX) for step in came.steps]
    assert [unpack_changeset(step) for step in packed] == list(came.steps)
    condensed = applied(nodes[0], unpack_changeset(condense(packed, APEX)))
    assert comparable(merge(nodes[0], condensed.nodes)) == comparable(wanted)


def test_what_came_and_went_again_is_not_in_a_condensed_step() -> None:
    steps = [
        Changeset(1, 2, [soa(1)], [soa(2), WWW]),
        Changeset(2, 3, [soa(2), WWW], [soa(3), MAIL]),
        Changeset(3, 4, [soa(3)], [soa(4), WWW._replace(ttl=1)]),
    ]
    one = unpack_changeset(condense([pack_changeset(step, APEX) for step in steps], APEX))
    assert (one.deleted, one.added) == ([soa(1)], [soa(4), MAIL, WWW._replace(ttl=1)])


def sent(steps: list[PackedStep], newest: Record, *, signed: bool, reserve_opt: bytes = b"") -> list[Changeset]:
    """Steps through the outbound and the inbound machine, a codec at each end and nothing between."""
    soa_rrset = RRset.of(newest.owner, newest.type, newest.ttl, [newest.rdata])
    question = APEX + codes.IXFR.to_bytes(2, "big") + b"\0\1"
    signer, verifier = StreamSigner(KEY, b"mac"), StreamVerifier(KEY, b"mac")
    reserve = signature_size(KEY) if signed else 0
    parts = [part for step in steps for part in step.parts]
    messages = list(ixfr_messages(soa_rrset, parts, QUERY_ID, question, reserve=reserve, opt=reserve_opt))
    machine = inbound(TransferKind.IXFR, steps[0].old_serial, verifier=verifier if signed else None)
    done = [machine.feed(signer.sign(each, NOW) if signed else each, NOW) for each in messages]
    assert done == [False] * (len(messages) - 1) + [True]
    result = machine.result()
    assert isinstance(result, IncrementalTransfer) and result.serial == steps[-1].new_serial
    return result.changesets


@QUICK
@given(versions, st.booleans(), st.booleans())
def test_what_goes_out_by_ixfr_comes_in_as_it_was(contents_of, signed, one_by_one) -> None:
    nodes = [zone(serial, content).nodes for serial, content in enumerate(contents_of, 1)]
    steps = [pack_changeset(diff(before, after, APEX), APEX) for before, after in pairwise(nodes)]
    if not one_by_one:
        steps = [condense(steps, APEX)]
    came = sent(steps, soa(len(nodes)), signed=signed)
    assert came == [unpack_changeset(step) for step in steps]
    assert comparable(merge(nodes[0], applied(nodes[0], *came).nodes)) == comparable(nodes[-1])


def test_a_step_of_many_messages_comes_in_as_it_was() -> None:
    records = [Record(b"\6h%05d" % n + APEX, 16, 1, 60, b"\xc8" + bytes(200)) for n in range(1000)]
    step = pack_changeset(Changeset(1, 2, [soa(1), *records[:500]], [soa(2), *records[500:]]), APEX)
    assert len(step.parts) > 5
    assert sent([step], soa(2), signed=True) == [unpack_changeset(step)]


def test_a_name_of_several_records_is_written_once() -> None:
    """Such as all that a signed zone has at one name."""
    records = [Record(b"\x3fa" + b"a" * 62 + APEX, 16, 1, 60, b"\1" + bytes([n])) for n in range(50)]
    step = pack_changeset(Changeset(1, 2, [soa(1)], [soa(2), *records]), APEX)
    newest = RRset.of(APEX, codes.SOA, 300, [soa(2).rdata])
    (message,) = ixfr_messages(newest, step.parts, 1, APEX + b"\0\xfb\0\1")
    assert message.count(b"a" * 60) == 1
