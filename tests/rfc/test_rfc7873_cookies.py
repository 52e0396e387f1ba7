"""RFC 7873: DNS cookies as a server sees them; RFC 7828 keepalive beside them."""

from ipaddress import ip_address

import dns.edns
import dns.message
import dns.rcode
import pytest
from support.pipelines import CLIENT, NOW, handle, pipeline_of, question, served
from support.served_zones import HEAD

from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.rate_limit import RateLimiter, RateLimits
from nameserver.wire.cookie import make

SECRET = bytes(range(16))
MINE = b"client!!"
GOOD = MINE + make(MINE, ip_address(CLIENT), NOW, SECRET)
FORGED = MINE + bytes(16)


def pipeline(**more) -> Pipeline:
    return pipeline_of(served(HEAD, "example.com."), settings=QuerySettings(cookie_secrets=(SECRET,), **more))


def ask(ours: Pipeline, cookie: bytes | None, *, code: int = 10, transport: str = "udp") -> dns.message.Message:
    options = [] if cookie is None else [dns.edns.GenericOption(code, cookie)]
    data = question("ns1.example.com.", edns=1232, options=options)
    return dns.message.from_wire(handle(ours, data, transport=transport).reply)


def cookie_of(reply: dns.message.Message) -> bytes | None:
    return next((option.to_wire() for option in reply.options if option.otype == 10), None)


def test_section_5_2_1_without_a_cookie_nothing_is_said_of_cookies() -> None:
    reply = ask(pipeline(require_cookies=True), None)
    assert reply.answer and cookie_of(reply) is None


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 41])
def test_section_5_2_2_a_cookie_of_impossible_length_is_formerr(size: int) -> None:
    reply = ask(pipeline(), bytes(size))
    assert reply.rcode() == dns.rcode.FORMERR and not reply.answer


@pytest.mark.parametrize("sent", [MINE, FORGED, MINE + bytes(8), MINE + bytes(32)])
def test_section_5_2_3_and_4_who_has_none_or_a_bad_one_is_answered_and_given_a_good_one(sent: bytes) -> None:
    reply = ask(pipeline(), sent)
    assert reply.answer and cookie_of(reply) == GOOD


def test_section_5_2_5_a_good_cookie_comes_back_with_the_answer() -> None:
    for transport in ("udp", "tcp"):
        reply = ask(pipeline(require_cookies=True), GOOD, transport=transport)
        assert reply.answer and cookie_of(reply) == GOOD


@pytest.mark.parametrize("sent", [MINE, FORGED])
def test_section_5_2_3_where_cookies_are_required_a_bad_one_is_badcookie_with_a_good_one(sent: bytes) -> None:
    reply = ask(pipeline(require_cookies=True), sent)
    assert reply.rcode() == dns.rcode.BADCOOKIE and not reply.answer
    assert cookie_of(reply) == GOOD


def test_section_5_2_3_over_tcp_nobody_needs_a_cookie_to_be_believed() -> None:
    assert ask(pipeline(require_cookies=True), MINE, transport="tcp").answer


def ask_for_cookie(ours: Pipeline, cookie: bytes, **more) -> dns.message.Message:
    """A query without a question."""
    query = dns.message.Message(id=4711)
    query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(10, cookie)])
    return dns.message.from_wire(handle(ours, query.to_wire(), **more).reply)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("required", [False, True])
def test_section_5_4_a_query_without_a_question_is_answered_with_a_cookie(transport: str, required: bool) -> None:
    ours = pipeline(require_cookies=required)
    for sent, rcode in ((MINE, dns.rcode.NOERROR), (GOOD, dns.rcode.NOERROR), (FORGED, dns.rcode.BADCOOKIE)):
        reply = ask_for_cookie(ours, sent, transport=transport)
        assert (reply.rcode(), cookie_of(reply)) == (rcode, GOOD)
        assert not reply.question and not reply.answer and not reply.authority


def test_section_5_4_without_cookies_a_query_without_a_question_is_formerr() -> None:
    reply = ask_for_cookie(pipeline_of(served(HEAD, "example.com.")), MINE)
    assert reply.rcode() == dns.rcode.FORMERR and reply.edns == 0
    assert ask_for_cookie(pipeline(), MINE[:7]).rcode() == dns.rcode.FORMERR


def test_section_5_4_a_query_without_a_question_counts_among_limited_answers() -> None:
    ours = pipeline()
    ours.limiter = RateLimiter(RateLimits(rate=1, slip=0), b"secret")
    assert ask_for_cookie(ours, MINE).rcode() == dns.rcode.NOERROR
    query = dns.message.Message(id=4711)
    query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(10, MINE)])
    assert handle(ours, query.to_wire()).reply is None
    assert cookie_of(ask_for_cookie(ours, GOOD)) == GOOD


def test_switched_off_cookies_are_an_option_like_any_unknown_one() -> None:
    reply = ask(pipeline_of(served(HEAD, "example.com.")), MINE)
    assert reply.answer and not reply.options


def test_the_secret_is_in_no_representation() -> None:
    assert repr(SECRET) not in repr(QuerySettings(cookie_secrets=(SECRET,)))


def test_rfc7828_section_3_2_keepalive_is_told_over_tcp_to_those_who_ask() -> None:
    reply = ask(pipeline(tcp_idle_timeout=12.34), b"", code=11, transport="tcp")
    assert [(option.otype, option.to_wire()) for option in reply.options] == [(11, b"\0\x7b")]
    assert not ask(pipeline(), None, transport="tcp").options


def test_rfc7828_section_3_2_over_udp_keepalive_is_not_heard() -> None:
    for sent in (b"", b"\0\x64"):
        reply = ask(pipeline(), sent, code=11)
        assert reply.answer and not reply.options


def test_rfc7828_section_3_2_1_a_client_that_tells_a_timeout_is_formerr() -> None:
    assert ask(pipeline(), b"\0\x64", code=11, transport="tcp").rcode() == dns.rcode.FORMERR


def test_rfc7830_section_6_nothing_is_padded_in_the_clear() -> None:
    for transport in ("udp", "tcp"):
        assert not ask(pipeline(), bytes(20), code=12, transport=transport).options
