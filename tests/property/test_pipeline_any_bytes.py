"""Whatever arrives, the pipeline gives a bounded reply with the request's id, or nothing."""

from hypothesis import given
from hypothesis import strategies as st
from support.pipelines import handle, pipeline_of, question, served
from support.served_zones import HEAD, wire

from nameserver.wire.tsig import TsigKey, sign

KEY = TsigKey(wire("k."), "hmac-sha256", b"0123456789abcdef0123456789abcdef")
TEXT = f"{HEAD}\n*.w CNAME www\nwww A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\nm DNAME m.m"
PIPELINE = pipeline_of(served(TEXT, "example."), served(None, "new."), keys=[KEY])

GOOD = [
    question("www.example."),
    question("x.w.example.", "AAAA", edns=1232),
    question("x.sub.example.", edns=512),
    question("a.m.example.", "ANY"),
    question("new.", "SOA"),
    question("example.", "AXFR"),
    sign(question("example.", "SOA", edns=1232), KEY, 1_800_000_000)[0],
]


@st.composite
def damaged(draw) -> bytes:
    """A good request with some octets replaced, and perhaps cut or lengthened."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for position, octet in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)):
        data[position] = octet
    size = draw(st.integers(0, len(data)) | st.just(len(data)))
    return bytes(data[:size]) + draw(st.binary(max_size=20) | st.just(b""))


@given(st.binary(max_size=80) | damaged(), st.sampled_from(["udp", "tcp"]))
def test_no_bytes_raise_and_every_reply_is_bounded_and_to_its_request(data, transport):
    outcome = handle(PIPELINE, data, transport=transport)
    if outcome.reply is None:
        assert len(data) < 12 or data[2] & 0x80 or outcome.transfer is not None
        return
    assert outcome.reply[:2] == data[:2]
    assert outcome.reply[2] & 0x80
    assert len(outcome.reply) <= (1232 if transport == "udp" else 65535)
    assert not outcome.reply[3] & 0x80  # RA
