"""What `migrate propagation` makes of resolvers, some of which have several caches behind one address."""

import asyncio
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.checks.propagation import folded, judge, judge_ttls, measure
from nameserver.migrate.move.survey import Survey

NAME = dns.name.from_text("shop.example")
ONE, TWO = Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)
A = dns.rdatatype.A


class Caches(Asker):
    """Resolvers behind whose addresses caches take turns; each with (TTL, rdata), None for an answer that is lost.

    Without rdata it says that there is nothing.
    """

    def __init__(self, behind: dict[Endpoint, Sequence[tuple[int, str] | None]]) -> None:
        super().__init__()
        self.behind = behind
        self.turn = dict.fromkeys(behind, 0)

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        caches = self.behind[endpoint]
        said = caches[self.turn[endpoint] % len(caches)]
        self.turn[endpoint] += 1
        if said is None:
            return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")
        message = dns.message.make_response(question.message())
        if said[1]:
            message.answer.append(dns.rrset.from_text(question.name, said[0], "IN", question.type, said[1]))
        return Reply(endpoint, False, message, 0.0)


def looked(caches: Caches, times: int = 3, expected: list[str] | None = None, rdtype: dns.rdatatype.RdataType = A):
    sights = asyncio.run(measure(caches, NAME, rdtype, list(caches.behind), times))
    return judge(NAME, rdtype, sights, expected=expected)


def test_a_second_cache_behind_an_address_is_seen_by_asking_again():
    caches = {ONE: [(60, "192.0.2.9"), (40, "192.0.2.8")], TWO: [(30, "192.0.2.9")]}
    assert looked(Caches(caches), times=1).exit_code == 0
    report = looked(Caches(caches))
    assert (report.exit_code, report.faults) == (1, {"varies"})
    assert report.facts["resolvers"][str(ONE)]["also"] == [["192.0.2.8"]]
    wanted = looked(Caches(caches), expected=["192.0.2.9"])
    assert (wanted.exit_code, wanted.faults) == (1, {"stale"})
    assert wanted.verdict.endswith("runs out within 60 s.")


def test_ttls_that_count_down_and_caches_of_another_age_are_the_same_answer():
    report = looked(Caches({ONE: [(300, "192.0.2.9"), (7, "192.0.2.9")], TWO: [(0, "192.0.2.9")]}))
    assert (report.exit_code, report.verdict) == (0, "All 2 resolvers return the same.")
    assert report.measured["ttl"][str(ONE)] == 300


def test_one_lost_answer_among_others_is_no_failure_and_all_lost_is_one():
    assert looked(Caches({ONE: [(60, "192.0.2.9"), None]})).exit_code == 0
    assert looked(Caches({ONE: [None]})).exit_code == 3


@pytest.mark.parametrize(
    ("rdtype", "returned", "expected", "code"),
    [
        ("NS", "NS1.Shop.example.", "ns1.shop.EXAMPLE", 0),
        ("TXT", '"Token"', "token", 1),
        ("TXT", '"Token"', "Token", 0),
        ("AAAA", "2001:db8::1", "2001:DB8:0::1", 0),
    ],
)
def test_the_case_of_names_makes_no_difference_and_that_of_text_does(
    rdtype: str, returned: str, expected: str, code: int
):
    kind = dns.rdatatype.from_text(rdtype)
    assert looked(Caches({ONE: [(60, returned)]}), expected=[expected], rdtype=kind).exit_code == code


def test_what_is_expected_and_is_no_rdata_is_refused():
    with pytest.raises(ValueError, match="is not the rdata of A"):
        folded(A, "ns1.shop.example")


def test_a_resolver_that_says_there_is_nothing_has_answered():
    report = looked(Caches({ONE: [(0, "")]}))
    assert (report.exit_code, report.faults) == (1, {"resolver-fails"})


def test_a_resolver_for_which_the_zone_has_no_soa_does_not_know_the_zone_and_opens_no_gate():
    def judged(rdtype: dns.rdatatype.RdataType) -> int:
        sights = asyncio.run(measure(Caches({ONE: [(0, "")]}), NAME, rdtype, [ONE]))
        return judge_ttls(NAME, {(NAME, rdtype): sights}, 300).exit_code

    assert (judged(dns.rdatatype.SOA), judged(A)) == (1, 0)  # another record may have been taken out of the zone


def test_the_gates_ask_a_resolver_more_than_once_for_one_of_its_caches_may_have_the_ttl_of_before():
    caches = Caches({ONE: [(60, "192.0.2.9"), (86000, "192.0.2.9")]})
    survey = Survey(caches, Tree(caches), NAME, (), (), target_ttl=300, resolvers=(ONE,))
    report = asyncio.run(survey.lowered_at_resolvers([("shop.example.", "A")]))
    assert report.faults == {"ttl-high"}
