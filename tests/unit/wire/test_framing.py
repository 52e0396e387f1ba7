"""TCP framing: the same messages come out however the stream is segmented (C55)."""

import pytest

from nameserver.errors import WireError
from nameserver.wire.framing import Deframer, frame


def test_a_frame_is_its_length_and_the_message():
    assert frame(b"abc") == b"\x00\x03abc"


def test_the_largest_message_is_framed_and_a_larger_one_refused():
    assert frame(bytes(65535))[:2] == b"\xff\xff"
    with pytest.raises(ValueError, match="65536"):
        frame(bytes(65536))


@pytest.mark.parametrize("size", [1, 11, 12, 65535])
def test_any_length_from_1_to_65535_comes_through(size):
    assert Deframer().feed(frame(b"x" * size)) == [b"x" * size]


def test_one_octet_per_segment_is_put_together():
    deframer = Deframer()
    out = []
    for octet in frame(b"hello") + frame(b"world"):
        out += deframer.feed(bytes([octet]))
    assert out == [b"hello", b"world"]
    assert deframer.pending == 0


def test_two_messages_and_a_half_in_one_segment():
    deframer = Deframer()
    stream = frame(b"one") + frame(b"two") + frame(b"three")
    assert deframer.feed(stream[:-2]) == [b"one", b"two"]
    assert deframer.pending == 5
    assert deframer.feed(stream[-2:]) == [b"three"]


def test_a_length_of_zero_is_refused():
    with pytest.raises(WireError, match="0 octets"):
        Deframer().feed(b"\x00\x00")


def test_a_length_above_the_limit_is_refused_before_the_message_arrives():
    with pytest.raises(WireError, match="513"):
        Deframer(512).feed(b"\x02\x01")


def test_messages_in_front_of_a_bad_length_are_still_returned():
    deframer = Deframer()
    assert deframer.feed(frame(b"good") + b"\x00\x00") == [b"good"]
    with pytest.raises(WireError):
        deframer.feed(b"")
