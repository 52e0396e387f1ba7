"""RFC 9619: a query has one question, or none for the sake of a cookie (RFC 7873 §5.4)."""

import struct

import dns.message
import dns.rcode
import pytest
from support.pipelines import handle, pipeline_of, served
from support.served_zones import HEAD

QUESTION = b"\x07example\x03com\x00\x00\x06\x00\x01"
COOKIE = b"\x00\x0a\x00\x08client!!"


def opt(version: int = 0, options: bytes = b"") -> bytes:
    return struct.pack("!xHHBBHH", 41, 1232, 0, version, 0, len(options)) + options


def answer(questions: int, body: bytes, additional: bytes = b"") -> dns.message.Message:
    header = struct.pack("!HHHHHH", 4711, 0, questions, 0, 0, 1 if additional else 0)
    reply = handle(pipeline_of(served(HEAD, "example.com.")), header + body + additional).reply
    assert reply is not None
    return dns.message.from_wire(reply)


@pytest.mark.parametrize("additional", [b"", opt(), opt(options=COOKIE)])
@pytest.mark.parametrize("count", [2, 3, 65535])
def test_section_4_more_than_one_question_is_formerr(count: int, additional: bytes) -> None:
    reply = answer(count, QUESTION * min(count, 3), additional)
    assert reply.rcode() == dns.rcode.FORMERR and not reply.answer and not reply.question


def test_section_4_no_question_is_formerr_where_nothing_else_is_asked_for() -> None:
    assert answer(0, b"").rcode() == dns.rcode.FORMERR
    reply = answer(0, b"", opt())
    assert (reply.rcode(), reply.edns) == (dns.rcode.FORMERR, 0)


def test_rfc6891_section_6_1_3_the_version_is_judged_before_the_question_is_missed() -> None:
    reply = answer(0, b"", opt(version=1))
    assert (reply.rcode(), reply.edns) == (dns.rcode.BADVERS, 0)
