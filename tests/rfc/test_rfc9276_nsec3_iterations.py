"""RFC 9276: what is done about NSEC3 with many iterations: counted in rounds of hashing, which is what costs."""

import dns.message
import dns.name
import pytest
from support.pipelines import NOW, ask, handle, lines, pipeline_of, question, rcode, served_zone
from support.served_zones import HEAD
from support.signing import Nsec3, sign, signed_zone
from support.validator import validate

from nameserver.query.shortcut import Shortcut
from nameserver.query.tally import Tally
from nameserver.wire.names import from_text
from nameserver.wire.rrset import Record
from nameserver.zone import denial
from nameserver.zone.builder import ZoneBuilder
from nameserver.zone.changes import Changeset, apply_changes
from nameserver.zone.checks import FormatLimits

TEXT = f"""{HEAD}
www     3600 IN A   192.0.2.10
*.w     3600 IN TXT w
a.b     3600 IN TXT deep
sub     3600 IN NS  ns.test.
"""
NAMES = ["nope.example.", "x.y.z.example.", "www.example.", "x.w.example.", "b.example.", "sub.example.", "example."]
APEX = dns.name.from_text("example.")


class Hashes:
    """Counts the rounds of hashing that answers take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds = 0
        real = denial.hashed_key

        def counting(name, iterations, salt):
            self.rounds += iterations + 1
            return real(name, iterations, salt)

        monkeypatch.setattr(denial, "hashed_key", counting)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Hashes:
    return Hashes(monkeypatch)


def pipeline_with(iterations: int):
    return pipeline_of(served_zone(signed_zone(TEXT, "example.", Nsec3(iterations=iterations, salt="ab"))))


def ask_dnssec(pipeline, name, rdtype="MX"):
    return ask(pipeline, name, rdtype, edns=4096, want_dnssec=True, transport="tcp")


@pytest.mark.parametrize("iterations", [0, 1, 50, 150, 151, 500, 2500])
def test_answers_are_proved_with_as_many_iterations_as_the_zone_has(iterations):
    """As Knot 3.2, NSD 4.6 and BIND 9.18 do it, also above the 150 that validators accept (§3.2)."""
    pipeline = pipeline_with(iterations)
    for name in NAMES:
        validate(ask_dnssec(pipeline, name), APEX)


@pytest.mark.parametrize("iterations", [2501, 65535])
def test_beyond_what_any_zone_may_have_one_signed_record_tells_of_the_iterations(iterations):
    """RFC 5155 §10.3: 2500 is the most for any key. The record makes validators take the answer for insecure (§3.2)."""
    pipeline = pipeline_with(iterations)
    for name in NAMES:
        reply = ask_dnssec(pipeline, name)
        assert rcode(reply) in ("NOERROR", "NXDOMAIN")
        denying = [line.split() for line in lines(reply.authority) if line.split()[3] == "NSEC3"]
        assert [int(fields[6]) for fields in denying] == [iterations]
        signed = [line.split()[4] for line in lines(reply.authority) if line.split()[3] == "RRSIG"]
        assert "NSEC3" in signed


def test_a_name_that_does_not_exist_takes_one_hash(hashes):
    """However many are asked for: what its closest encloser and the wildcard take is known after the first."""
    pipeline = pipeline_with(10)
    for name in ("first", "a.first", "first.www", "first.b"):
        ask_dnssec(pipeline, f"{name}.example.")
    hashes.rounds = 0
    for number in range(50):
        ask_dnssec(pipeline, f"x{number}.example.")
        ask_dnssec(pipeline, f"a.b.c.x{number}.example.")
        ask_dnssec(pipeline, f"x{number}.www.example.")
        ask_dnssec(pipeline, f"x{number}.b.example.")
        ask_dnssec(pipeline, f"x{number}.w.example.", "TXT")
    assert hashes.rounds == 5 * 50 * 11


def test_a_name_that_exists_takes_no_hash_but_for_the_first_time(hashes):
    pipeline = pipeline_with(10)
    for _ in range(2):
        hashes.rounds = 0
        for name in ("www.example.", "b.example.", "sub.example.", "x.sub.example.", "example."):
            ask_dnssec(pipeline, name)
    assert hashes.rounds == 0


def test_without_do_nothing_is_hashed(hashes):
    pipeline = pipeline_with(10)
    hashes.rounds = 0
    for name in NAMES:
        ask(pipeline, name, "MX", edns=1232)
    assert hashes.rounds == 0


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(denial, "REMEMBERED", 5)
    many = "\n".join(f"n{number} 3600 IN A 192.0.2.1" for number in range(40))
    zone = signed_zone(f"{TEXT}\n{many}", "example.", Nsec3())
    pipeline = pipeline_of(served_zone(zone))
    for number in range(40):
        for name in (f"n{number}.example.", f"x.n{number}.example."):
            validate(ask_dnssec(pipeline, name), APEX)
    remembered = [getattr(zone.denial.active, name) for name in ("_closest", "_denied", "_nodata")]
    assert all(0 < len(each) <= 5 for each in remembered)


class TestManyIterations:
    """More than 150: all zones of a process share what is hashed in a second."""

    @pytest.fixture
    def pipeline(self, monkeypatch):
        monkeypatch.setattr(denial, "ROUNDS_PER_SECOND", 20 * 152)
        pipeline = pipeline_with(151)
        pipeline.zones.hash_budget.begin(NOW - 1)
        return pipeline

    def proved(self, pipeline, number: int, now: int) -> bool:
        outcome = handle(pipeline, question(f"x{number}.example.", edns=4096, want_dnssec=True), now=now)
        reply = dns.message.from_wire(outcome.reply)
        assert rcode(reply) == "NXDOMAIN"
        denying = [rrset for rrset in reply.authority if rrset.rdtype == 50]
        if len(denying) == 1:
            assert "NSEC3" in [line.split()[4] for line in lines(reply.authority) if line.split()[3] == "RRSIG"]
            return False
        validate(reply, APEX)
        return True

    def test_so_many_names_are_proved_in_a_second_and_the_others_told_why_not(self, pipeline):
        first = [self.proved(pipeline, number, NOW) for number in range(100)]
        assert 15 <= first.count(True) <= 20
        assert first == sorted(first, reverse=True)
        second = [self.proved(pipeline, number, NOW + 1) for number in range(100)]
        assert second.count(True) == 20

    def test_other_zones_and_answers_that_prove_nothing_are_not_affected(self, pipeline):
        cheap = signed_zone(TEXT.replace("2026010101", "1"), "cheap.test.", Nsec3(iterations=150))
        pipeline.zones.add(served_zone(cheap))
        while self.proved(pipeline, 1, NOW):
            pass
        validate(ask_dnssec(pipeline, "nope.cheap.test."), dns.name.from_text("cheap.test."))
        assert ask_dnssec(pipeline, "www.example.", "A").answer

    def test_an_answer_for_which_no_hash_was_left_is_not_remembered(self, pipeline):
        """It would go on to be given when there is time for a better one."""
        shortcut = Shortcut(pipeline, "udp", 4, id, Tally())
        while self.proved(pipeline, 1, NOW):
            pass
        message = question("x1.example.", edns=4096, want_dnssec=True)
        for now, remembered in ((NOW, False), (NOW + 1, True)):
            for _ in range(3):
                found = shortcut.find(message[2:])
                if found is None:
                    shortcut.learn(message[2:], handle(pipeline, message, now=now))
            assert (found is not None) is remembered


# --- the primary is told of -----------------------------------------------------------------------------------------


def records(iterations: int) -> list[Record]:
    return [record for rrset in sign(TEXT, "example.", Nsec3(iterations)) for record in rrset.records()]


@pytest.mark.parametrize(("iterations", "warned"), [(0, False), (150, False), (151, True), (65535, True)])
def test_section_3_2_a_zone_that_validators_take_for_unsigned_is_warned_of(iterations, warned):
    builder = ZoneBuilder(APEX.to_wire(), FormatLimits())
    for record in records(iterations):
        builder.add(record)
    built = builder.finish()
    assert [str(iterations) in line for line in built.warnings] == [True] * warned


@pytest.mark.parametrize(("before", "after", "warned"), [(0, 151, True), (151, 151, False), (151, 0, False)])
def test_section_3_2_a_change_of_the_iterations_is_warned_of_once(before, after, warned):
    builder = ZoneBuilder(APEX.to_wire(), FormatLimits())
    for record in records(before):
        builder.add(record)
    held = builder.finish()
    soa = next(record for record in records(before) if record.type == 6)
    newer = soa._replace(rdata=soa.rdata.replace((2026010101).to_bytes(4, "big"), (2026010102).to_bytes(4, "big")))
    gone = [record for record in records(before) if record.type == 51]
    come = [record for record in records(after) if record.type == 51]
    step = Changeset(2026010101, 2026010102, [soa, *gone], [newer, *come])
    changed = apply_changes(held.nodes.get, [step], from_text("example."), FormatLimits())
    assert len(changed.tally.warnings()) == warned
