"""nameserver.query.chaos"""

import pytest
from support.pipelines import ask, is_authoritative, lines, pipeline_of, rcode

from nameserver.query.exchange import QuerySettings

TOLD = QuerySettings(version="nameserver 1", identity='ns-1 "a"')


@pytest.mark.parametrize("name", ["version.bind.", "version.server.", "id.server.", "hostname.bind."])
def test_nothing_is_told_unless_configured(name):
    reply = ask(pipeline_of(), name, "TXT", "CH")
    assert rcode(reply) == "REFUSED"
    assert reply.answer == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("version.bind.", '"nameserver 1"'),
        ("VERSION.server.", '"nameserver 1"'),
        ("id.server.", r'"ns-1 \"a\""'),
        ("Hostname.Bind.", r'"ns-1 \"a\""'),
    ],
)
@pytest.mark.parametrize("rdtype", ["TXT", "ANY"])
def test_what_is_configured_is_told_under_the_name_asked_for(name, text, rdtype):
    reply = ask(pipeline_of(settings=TOLD), name, rdtype, "CH")
    assert is_authoritative(reply)
    assert lines(reply.answer) == [f"{name} 0 CH TXT {text}"]


@pytest.mark.parametrize(("name", "rdtype"), [("version.bind.", "A"), ("authors.bind.", "TXT"), (".", "TXT")])
def test_everything_else_in_that_class_is_refused(name, rdtype):
    assert rcode(ask(pipeline_of(settings=TOLD), name, rdtype, "CH")) == "REFUSED"


def test_a_long_text_is_split_into_character_strings():
    settings = QuerySettings(version="v" * 256)
    (record,) = ask(pipeline_of(settings=settings), "version.bind.", "TXT", "CH", edns=1232).answer[0]
    assert [len(piece) for piece in record.strings] == [255, 1]
