"""Transfers in under TSIG: nothing unsigned becomes a result (RFC 8945 §5.3.1)."""

import pytest
from support.transfer_messages import MAIL, NOW, NS, WWW, inbound, message, rr, soa

from nameserver.errors import Reason, TransferError
from nameserver.transfer.inbound import FullTransfer, TransferKind, UpToDate
from nameserver.wire import codes
from nameserver.wire.tsig import StreamSigner, StreamVerifier, TsigKey

KEY = TsigKey(b"\3key\0", "hmac-sha256", b"s" * 32)
REQUEST_MAC = b"m" * 32


def signed(*messages: bytes) -> list[bytes]:
    signer = StreamSigner(KEY, REQUEST_MAC)
    return [signer.sign(each, NOW) for each in messages]


def transfer(*messages: bytes, kind: TransferKind = TransferKind.AXFR):
    """The result of the messages under a verifier."""
    machine = inbound(kind, verifier=StreamVerifier(KEY, REQUEST_MAC))
    *first, last = messages
    assert not any(machine.feed(each, NOW) for each in first)
    assert machine.feed(last, NOW)
    return machine.result()


def reason(*messages: bytes) -> Reason:
    with pytest.raises(TransferError) as caught:
        transfer(*messages)
    return caught.value.reason


PARTS = [message(soa(6), NS), message(WWW), message(MAIL, soa(6))]


def test_a_signed_stream_is_taken():
    result = transfer(*signed(*PARTS))
    assert isinstance(result, FullTransfer) and result.built.records == 4


def test_a_signed_up_to_date_answer_is_taken():
    answer = message(soa(5), kind=TransferKind.IXFR)
    assert transfer(*signed(answer), kind=TransferKind.IXFR) == UpToDate(5)


def test_an_unsigned_answer_is_refused_whatever_it_says():
    assert reason(*PARTS) is Reason.TSIG_MISSING
    assert reason(message(soa(6), NS, soa(6))) is Reason.TSIG_MISSING


def test_an_unsigned_last_message_is_refused():
    assert reason(*signed(*PARTS[:2]), PARTS[2]) is Reason.TSIG_MISSING


def test_a_changed_message_is_refused():
    first, second, third = signed(*PARTS)
    changed = second.replace(b"\xc0\0\2\1", b"\xc0\0\2\2")
    assert changed != second
    assert reason(first, changed, third) is Reason.TSIG_BADSIG


def test_content_errors_under_a_good_signature_keep_their_reason():
    assert reason(*signed(message(soa(6), soa(6)))) is Reason.NO_NS
    assert reason(*signed(message(flags=codes.QR | codes.REFUSED))) is Reason.REFUSED


def test_an_answer_to_another_query_is_told_before_its_signature_is_looked_at():
    assert reason(message(soa(6), NS, soa(6), query_id=1)) is Reason.MALFORMED


def test_unsigned_messages_between_signed_ones_count_from_the_signature_on():
    """99 are allowed."""
    signer = StreamSigner(KEY, REQUEST_MAC)
    machine = inbound(verifier=StreamVerifier(KEY, REQUEST_MAC))
    machine.feed(signer.sign(PARTS[0], NOW), NOW)
    with pytest.raises(TransferError) as caught:
        for number in range(100):
            machine.feed(message(rr(f"h{number} 1 A 192.0.2.1")), NOW)
    assert (number, caught.value.reason) == (99, Reason.TSIG_GAP)
