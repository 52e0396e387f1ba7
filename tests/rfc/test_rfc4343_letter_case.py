"""RFC 4343: letters match whatever their case (§3.2), and leave as they came in, as far as there is room (§4.1)."""

import dns.flags
import pytest
from support.pipelines import ask, lines, pipeline_of, served
from support.served_zones import HEAD

TEXT = "x" * 200
ZONE = f"""{HEAD}
Mixed.Case  60 IN A    192.0.2.1
full        60 IN TXT  "{TEXT}" "{TEXT}" "{TEXT[:60]}"
"""


@pytest.fixture
def pipeline():
    return pipeline_of(served(ZONE, "Example.test."))


@pytest.mark.parametrize("name", ["mixed.case.example.test.", "MIXED.CASE.EXAMPLE.TEST.", "Mixed.Case.Example.test."])
def test_section_4_1_an_owner_leaves_in_the_letters_of_the_zone(pipeline, name):
    reply = ask(pipeline, name)
    assert reply.question[0].name.to_text() == name
    assert lines(reply.answer) == ["Mixed.Case.Example.test. 60 IN A 192.0.2.1"]


def test_section_4_1_letters_give_way_where_a_reply_would_have_no_room(pipeline):
    """As clients that mix the case of their questions' letters would have to ask again over TCP for nothing."""
    plain, mixed = (ask(pipeline, name, "TXT") for name in ("full.Example.test.", "FuLL.eXAMPLE.TeST."))
    assert not (plain.flags | mixed.flags) & dns.flags.TC
    assert mixed.answer == plain.answer != []
    assert mixed.question[0].name.to_text() == mixed.answer[0].name.to_text() == "FuLL.eXAMPLE.TeST."
