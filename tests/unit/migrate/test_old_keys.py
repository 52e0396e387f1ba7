"""When the keys of the old side may go, by a manual clock: what needs each, until when, and what went too early."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from dns.rdatatype import DNSKEY, SOA
from support.moves import move, snapshot

from nameserver.config.model import Endpoint
from nameserver.migrate.checks import old_keys
from nameserver.migrate.checks.old_keys import Look, Ttls
from nameserver.migrate.checks.signed_sides import Key, Side, Signature, describe
from nameserver.migrate.move import key_clocks
from nameserver.migrate.move.phases import State
from nameserver.migrate.report import Level, Report

ZONE = dns.name.from_text("shop.example.")
DS_TTL, KEY_TTL, ANSWER_TTL, NS_TTL = 1000.0, 200.0, 50.0, 400.0
AT, OTHER = Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)


def new_key(flags: int) -> Key:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = dns.dnssec.make_dnskey(public, Algorithm.ECDSAP256SHA256, flags=flags)
    assert isinstance(made, Key)
    return made


A_KSK, A_ZSK, B_KSK, B_ZSK, NEXT_KSK = new_key(257), new_key(256), new_key(257), new_key(256), new_key(257)


def ds(*keys: Key) -> frozenset[str]:
    return frozenset(dns.dnssec.make_ds(ZONE, key, "SHA256").to_text() for key in keys)


def signature(key: Key, what: str) -> Signature:
    times = "20400101000000 20200101000000"
    tag = dns.dnssec.key_id(key)
    made = dns.rdata.from_text("IN", "RRSIG", f"{what} {int(key.algorithm)} 2 300 {times} {tag} {ZONE} AAAA")
    assert isinstance(made, Signature)
    return made


def side(name: str, published: Iterable[Key], over_keys: Iterable[Key], over_zone: Iterable[Key], problem: str) -> Side:
    texts = [key.to_text() for key in published]
    return Side(
        name,
        AT if name == "old" else OTHER,
        dns.rrset.from_text_list(ZONE, int(KEY_TTL), "IN", "DNSKEY", texts) if texts else None,
        {DNSKEY: [signature(key, "DNSKEY") for key in over_keys], SOA: [signature(key, "SOA") for key in over_zone]},
        problem=problem,
    )


def moving(phase: str, way: str) -> State:
    return move(phase, dnssec=way, old_ns=["ns.a"], new_ns=["ns.b"], seen={"ttl-lowered": -1e6})


@dataclass
class World:
    """Old side, new side and two servers of the parent, of which anything may be changed between two looks."""

    old: list[Key] = field(default_factory=lambda: [A_KSK, A_ZSK, B_ZSK])
    new: list[Key] = field(default_factory=lambda: [B_KSK, B_ZSK, A_ZSK])
    old_signs: tuple[Key | None, Key | None] = (A_KSK, A_ZSK)
    new_signs: tuple[Key | None, Key | None] = (B_KSK, B_ZSK)
    first: frozenset[str] = ds(A_KSK, B_KSK)
    second: frozenset[str] | None = ds(A_KSK, B_KSK)  # None: it does not answer
    sent_to_old: bool = False
    to_new: bool = True
    old_problem: str = ""
    new_problem: str = ""
    state: State = field(default_factory=lambda: moving("decommission", "multi-signer"))
    final: bool = True
    old_side_asked: bool = True

    def at(self, now: float) -> Report:
        parents = {"p1": self.first} | ({"p2": self.second} if self.second is not None else {})
        signs = [[[key] if key else [] for key in pair] for pair in (self.old_signs, self.new_signs)]
        look = Look(
            parents,
            self.second is not None,
            ["p1"] if self.sent_to_old else [],
            self.to_new,
            [side("old", self.old, *signs[0], self.old_problem)] if self.old_side_asked else [],
            [side("new", self.new, *signs[1], self.new_problem)],
            False,
            Ttls(DS_TTL, KEY_TTL, ANSWER_TTL, NS_TTL),
        )
        key_clocks.note(self.state, ZONE, look, now)
        known = key_clocks.known(self.state, look, snapshot(ds=sorted(ds(A_KSK))))
        return old_keys.judge(ZONE, look, known, now, final=self.final)


def needed(report: Report, key: Key) -> list[str]:
    return report.facts[describe(key)]["needed_by"]


def removed(report: Report) -> set[str]:
    return {each.text for each in report.findings if each.code in ("key-removed", "ds-removed")}


def test_after_the_cut_over_ds_and_keys_go_one_after_the_other_each_when_its_time_has_come():
    world = World(sent_to_old=True)
    report = world.at(0.0)
    assert needed(report, A_KSK) == ["parent", "delegation"]
    assert needed(report, A_ZSK) == ["delegation"]
    assert (report.exit_code, removed(report)) == (1, set())
    world.sent_to_old = False
    report = world.at(1000.0)  # from now on nobody is sent there, and caches follow within NS_TTL
    assert needed(report, A_KSK) == ["parent", "ns-ttl", "key-sets"]
    assert needed(report, A_ZSK) == ["ns-ttl", "answers"]
    assert report.facts[describe(A_ZSK)]["may_go"] == 1000.0 + NS_TTL + ANSWER_TTL
    report = world.at(1000.0 + NS_TTL + ANSWER_TTL - 1)
    assert needed(report, A_ZSK) == ["answers"]
    report = world.at(1000.0 + NS_TTL + ANSWER_TTL)
    assert needed(report, A_ZSK) == []
    assert "ds-may-go" not in {each.code for each in report.findings}
    report = world.at(1000.0 + NS_TTL + KEY_TTL)
    assert needed(report, A_KSK) == ["parent"]
    assert "ds-may-go" in {each.code for each in report.findings}
    world.first = world.second = ds(B_KSK)
    report = world.at(2000.0)
    assert needed(report, A_KSK) == ["ds-ttl"]
    assert report.facts["safe_from"] == 2000.0 + DS_TTL
    assert report.faults == {"key-needed"}
    report = world.at(2000.0 + DS_TTL)
    assert (report.exit_code, removed(report)) == (0, set())
    world.new.remove(A_ZSK)
    assert world.at(4000.0).exit_code == 0


@pytest.mark.parametrize("final", [False, True])
def test_a_key_that_went_while_what_it_signed_is_in_caches_is_named_until_that_has_run_out(final: bool):
    world = World(final=final)
    world.at(0.0)
    world.new.remove(A_ZSK)
    report = world.at(NS_TTL)
    [text] = removed(report)
    assert describe(A_ZSK) in text
    assert f"the new side ({OTHER})" in text
    assert "answers that it signed are in caches (50 s)" in text
    assert "1970-01-01 00:07:30 UTC" in text
    assert report.exit_code == 1
    assert removed(world.at(NS_TTL + ANSWER_TTL)) == set()


def test_a_key_of_the_old_side_that_the_new_one_never_had_is_missed_from_the_cut_over_on_and_not_before():
    world = World(new=[B_KSK, B_ZSK], to_new=False, sent_to_old=True, final=False)
    assert removed(world.at(0.0)) == set()
    world.to_new, world.sent_to_old = True, False
    assert len(removed(world.at(10.0))) == 1


@pytest.mark.parametrize(("left", "gone"), [(100.0, True), (100.0 + NS_TTL + KEY_TTL, False)])
def test_the_old_side_s_ds_may_not_go_while_its_key_sets_are_in_caches(left: float, gone: bool):
    world = World()
    world.at(0.0)
    world.first = world.second = ds(B_KSK)
    report = world.at(left)
    assert ("ds-removed" in report.faults) is gone
    if gone:
        [text] = removed(report)
        assert describe(A_KSK) in text
        assert "p1, p2" in text


def test_a_ds_that_is_gone_at_one_server_of_the_parent_alone_is_named_with_that_server():
    world = World(sent_to_old=True)
    world.at(0.0)
    world.second = ds(B_KSK)
    report = world.at(10.0)
    assert [text for text in removed(report) if "(p2)" in text]
    assert needed(report, A_KSK)[0] == "parent"


def test_a_server_of_the_parent_that_does_not_answer_begins_no_clock_and_closes_the_gate():
    world = World()
    world.at(0.0)
    world.first, world.second = ds(B_KSK), None
    report = world.at(5000.0)
    assert needed(report, A_KSK) == ["parent"]
    assert "parent-silent" in report.faults
    world.second = ds(B_KSK)
    assert needed(world.at(6000.0), A_KSK) == ["ds-ttl"]
    world.second = None  # nor does it stop one
    assert needed(world.at(6000.0 + DS_TTL), A_KSK) == []


def test_a_new_side_that_does_not_answer_is_not_taken_for_one_that_has_the_keys():
    world = World()
    world.at(0.0)
    world.new_problem = "connect-timeout: no answer"
    assert "server-silent" in world.at(1e6).faults


def test_an_old_side_that_is_off_changes_nothing_of_what_is_known_of_its_keys():
    world = World(sent_to_old=True)
    world.at(0.0)
    world.old_problem, world.sent_to_old = "connect-refused: nobody listens", False
    report = world.at(100.0)
    assert needed(report, A_ZSK) == ["ns-ttl", "answers"]
    assert removed(report) == set()


def test_where_the_new_side_signs_with_the_same_keys_there_is_nothing_to_remove():
    world = World(old=[A_KSK, A_ZSK], new=[A_KSK, A_ZSK], new_signs=(A_KSK, A_ZSK), first=ds(A_KSK), second=ds(A_KSK))
    report = world.at(0.0)
    assert (report.exit_code, report.verdict) == (0, "The old side has no key of its own.")


def test_keys_of_an_old_side_are_forgotten_once_the_new_side_signs_with_them_itself():
    world = World(old=[A_KSK, A_ZSK], new=[], new_signs=(None, None), first=ds(A_KSK), second=ds(A_KSK), to_new=False)
    world.at(0.0)
    assert len(world.state.old_keys) == 2
    world.new, world.new_signs = [A_KSK, A_ZSK], (A_KSK, A_ZSK)
    assert world.at(1.0).exit_code == 0
    assert world.state.old_keys == {}


def test_a_ds_is_not_everywhere_while_a_server_of_the_parent_does_not_say_so():
    world = World(sent_to_old=True)
    world.second = None
    world.at(0.0)
    assert all("ds-since" not in marks for marks in world.state.old_keys.values())
    world.second = world.first
    world.at(5.0)
    assert world.state.old_keys[A_KSK.to_text()]["ds-since"] == 5.0


def test_without_a_ds_nobody_needs_a_key():
    world = World(first=frozenset(), second=frozenset(), sent_to_old=True)
    world.at(0.0)
    report = world.at(1e6)
    assert (report.exit_code, needed(report, A_ZSK)) == (0, [])


# --- a while without DNSSEC ------------------------------------------------------------------------------------------


def plain(**changed: object) -> World:
    """The old side signed, the new one not, the old one delegated to."""
    world = World([A_KSK, A_ZSK], [], new_signs=(None, None), first=ds(A_KSK), second=ds(A_KSK), to_new=False)
    world.sent_to_old, world.final = True, False
    world.state = moving("parallel", "unsign")
    for name, value in changed.items():
        setattr(world, name, value)
    return world


def test_on_the_way_without_dnssec_keys_may_go_when_the_ds_is_gone_everywhere_and_its_ttl_or_48_hours_have_passed():
    world = plain()
    assert removed(world.at(0.0)) == set()
    world.first = world.second = frozenset()
    report = world.at(1000.0)
    assert needed(report, A_KSK) == ["ds-ttl", "delegation"]
    world.old, world.old_signs = [], (None, None)
    report = world.at(1001.0)
    assert {describe(key) in " ".join(removed(report)) for key in (A_KSK, A_ZSK)} == {True}
    assert "1970-01-03 00:16:40 UTC" in " ".join(removed(report))
    report = world.at(1000.0 + 48 * 3600)
    assert (report.exit_code, report.verdict) == (0, "Nothing needs the keys of the old side any more.")


def test_on_the_way_without_dnssec_keys_that_went_before_the_ds_are_named():
    world = plain()
    world.at(0.0)
    world.old, world.old_signs = [], (None, None)
    report = world.at(10.0)
    assert {describe(key) in " ".join(removed(report)) for key in (A_KSK, A_ZSK)} == {True}
    assert report.exit_code == 1


@pytest.mark.parametrize("at_parent", [ds(A_KSK), frozenset()])
def test_keys_that_went_before_anybody_looked_are_named_by_their_ds(at_parent: frozenset[str]):
    world = plain(old=[], old_signs=(None, None), first=at_parent, second=at_parent)
    [text] = removed(world.at(0.0))
    assert f"lacks key {dns.dnssec.key_id(A_KSK)} ECDSAP256SHA256" in text


# --- keys that the old side itself exchanges meanwhile --------------------------------------------------------------


def test_a_key_that_the_old_side_has_properly_exchanged_is_not_missed():
    world = World(sent_to_old=True, final=False)
    world.at(0.0)
    world.old.append(NEXT_KSK)
    world.first = world.second = ds(A_KSK, B_KSK, NEXT_KSK)
    world.old_signs = (NEXT_KSK, A_ZSK)
    world.at(100.0)
    world.first = world.second = ds(B_KSK, NEXT_KSK)
    world.at(100.0 + DS_TTL)
    world.old.remove(A_KSK)
    assert removed(world.at(100.0 + 2 * DS_TTL)) == set()


def test_a_key_that_the_old_side_drops_before_the_ds_of_the_next_one_is_in_all_caches_is_missed():
    world = World(sent_to_old=True, final=False)
    world.at(0.0)
    world.old = [NEXT_KSK, A_ZSK, B_ZSK]
    world.first = world.second = ds(B_KSK, NEXT_KSK)
    world.old_signs = (NEXT_KSK, A_ZSK)
    [text] = removed(world.at(100.0))
    assert describe(A_KSK) in text
    assert f"the old side ({AT})" in text


def test_an_old_side_that_is_not_asked_any_more_has_not_stopped_to_sign():
    world = World(sent_to_old=True)
    world.at(0.0)
    world.old_side_asked = False
    assert needed(world.at(10.0), A_ZSK) == ["delegation"]


def test_where_the_names_stay_addresses_have_to_be_forgotten_too():
    world = World()
    world.state.new_ns = world.state.old_ns
    world.state.cached["answers_ttl"] = 900.0
    assert world.at(0.0).facts[describe(A_ZSK)]["may_go"] == 900.0 + 900.0


# --- as the state of a move keeps it --------------------------------------------------------------------------------


def test_answers_of_before_the_ttls_were_lowered_count_as_long_as_they_may_last():
    world = World()
    world.state.seen["ttl-lowered"] = 0.0
    world.state.cached["largest_ttl"] = 5000.0
    report = world.at(0.0)
    assert report.facts[describe(A_ZSK)]["may_go"] == 5000.0
    world.state.seen.pop("ttl-lowered")  # they are not known to have been lowered
    report = world.at(1.0)
    assert report.facts[describe(A_ZSK)]["may_go"] == NS_TTL + 5000.0


def test_notes_and_faults_leave_out_what_passes():
    world = World(final=False)
    first = world.at(0.0)
    assert first.digest() == world.at(1.0).digest()
    assert all(each.level is Level.NOTE for each in first.findings if each.code == "key-needed")
