"""RFC 8945 (TSIG): judging requests, error replies, streams; dnspython as the other side."""

import hmac
import time

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import pytest
from support.tsig_messages import changed, with_record

from nameserver.errors import Reason, TransferError, WireError
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.render import render
from nameserver.wire.reply import Reply
from nameserver.wire.request import BadRequest, Request, parse_request
from nameserver.wire.tsig import (
    ALGORITHMS,
    MAX_UNSIGNED,
    StreamSigner,
    StreamVerifier,
    TsigFailure,
    TsigKey,
    TsigRecord,
    Verified,
    error_reply,
    find_tsig,
    read_tsig,
    sign,
    signature_size,
    strip_tsig,
    verify_request,
)

NOW = 1_700_000_000
ZONE = names.from_text("example.com")
KEY = TsigKey(names.from_text("transfer-key"), "hmac-sha256", b"0123456789abcdef0123456789abcdef")
OTHER_KEY = TsigKey(names.from_text("other-key"), "hmac-sha256", b"x" * 32)
KEYS = {KEY.name: KEY, OTHER_KEY.name: OTHER_KEY}
QUERY = build_query(77, ZONE, codes.AXFR)


def signed_request(
    key: TsigKey = KEY, now: int = NOW, *, fudge: int = 300, error: int = 0, other: bytes = b""
) -> tuple[bytes, bytes]:
    return sign(QUERY, key, now, fudge=fudge, error=error, other=other)


def judge(message: bytes, now: int = NOW) -> Verified | TsigFailure:
    record = parse_request(message).tsig
    assert record is not None
    return verify_request(message, record, KEYS, now)


def refused(message: bytes, now: int = NOW) -> TsigFailure:
    failure = judge(message, now)
    assert isinstance(failure, TsigFailure)
    return failure


def notauth(message: bytes) -> bytes:
    """The unsigned reply that `error_reply` starts from."""
    return render(parse_request(message), Reply(rcode=codes.NOTAUTH), 512, 1232)


# --- keys --------------------------------------------------------------------------------------------------------


def test_a_keys_repr_hides_the_secret():
    assert "0123456789" not in repr(KEY)
    assert "hidden" in repr(KEY)


def test_a_fingerprint_tells_keys_apart_without_showing_them():
    assert len(KEY.fingerprint) == 8
    assert KEY.fingerprint != OTHER_KEY.fingerprint
    assert KEY.fingerprint == TsigKey(b"\x00", "hmac-sha512", KEY.secret).fingerprint


def test_hmac_md5_is_not_spoken():
    """§6: MUST NOT be used."""
    assert not any("md5" in name for name in ALGORITHMS)


# --- requests, §5.2 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_of_each_algorithm_is_verified(algorithm):
    key = TsigKey(KEY.name, algorithm, bytes(64))
    message, mac = sign(QUERY, key, NOW)
    record = find_tsig(message)
    assert record is not None
    assert verify_request(message, record, {key.name: key}, NOW) == Verified(key, mac)
    assert len(mac) == ALGORITHMS[algorithm].digest_size
    assert len(message) == len(QUERY) + signature_size(key)


def test_the_digest_covers_the_original_id():
    """§4.2: a forwarder may change the id; the MAC is over the original one."""
    message, _ = signed_request()
    assert isinstance(judge(b"\x12\x34" + message[2:]), Verified)


def test_the_key_name_is_compared_without_case():
    message, _ = signed_request()
    assert isinstance(judge(message.replace(b"transfer-key", b"Transfer-KEY")), Verified)


def test_an_unknown_key_is_badkey():
    """§5.2.1."""
    failure = refused(changed(signed_request()[0], key_name=names.from_text("nobody")))
    assert (failure.error, failure.reason, failure.key) == (codes.BADKEY, Reason.TSIG_BADKEY, None)
    assert "nobody" in failure.detail


def test_a_known_key_under_another_algorithm_is_badkey():
    """§5.2.1."""
    failure = refused(changed(signed_request()[0], algorithm=ALGORITHMS["hmac-sha512"].wire))
    assert (failure.error, failure.key) == (codes.BADKEY, None)


def test_a_wrong_mac_is_badsig():
    """§5.2.2."""
    failure = refused(changed(signed_request()[0], mac=bytes(32)))
    assert (failure.error, failure.reason, failure.key) == (codes.BADSIG, Reason.TSIG_BADSIG, KEY)


@pytest.mark.parametrize("position", [3, 13, 21, 26, -6, -10, -41, -43, -45])
def test_any_changed_octet_is_badsig(position):
    message = bytearray(signed_request()[0])
    message[position] ^= 1
    assert refused(bytes(message)).error == codes.BADSIG


@pytest.mark.parametrize(("skew", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_the_time_may_be_off_by_the_fudge_and_no_more(skew, good):
    """§5.2.3."""
    outcome = judge(signed_request(now=NOW + skew)[0])
    assert isinstance(outcome, Verified) is good
    if isinstance(outcome, TsigFailure):
        assert outcome.error == codes.BADTIME
        assert f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'}" in outcome.detail


def test_a_wrong_mac_at_a_wrong_time_is_badsig():
    """C01: the time is judged only after the MAC, else strangers get signatures."""
    message = changed(signed_request(now=NOW + 3600)[0], mac=bytes(32))
    failure = refused(message)
    assert failure.error == codes.BADSIG
    record = find_tsig(error_reply(notauth(message), parse_request(message).tsig, failure, NOW))
    assert record is not None
    assert (record.error, record.mac, record.other) == (codes.BADSIG, b"", b"")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 15])
def test_a_mac_below_half_the_digest_is_formerr(size):
    """§5.2.2.1, C05."""
    message, mac = signed_request()
    with pytest.raises(WireError) as caught:
        judge(changed(message, mac=mac[:size]))
    assert caught.value.rcode == codes.FORMERR


@pytest.mark.parametrize("size", [16, 31])
def test_a_shortened_mac_that_the_protocol_allows_is_badtrunc(size):
    """§5.2.4, C05: full length only."""
    message, mac = signed_request()
    failure = refused(changed(message, mac=mac[:size]))
    assert (failure.error, failure.reason, failure.key) == (codes.BADTRUNC, Reason.TSIG_BADTRUNC, KEY)


def test_a_shortened_wrong_mac_is_badsig():
    assert refused(changed(signed_request()[0], mac=bytes(16))).error == codes.BADSIG


@pytest.mark.parametrize("size", [33, 64, 400])
def test_a_mac_longer_than_the_digest_is_formerr(size):
    """§5.2.2.1, C05."""
    message, mac = signed_request()
    with pytest.raises(WireError):
        judge(changed(message, mac=mac + bytes(size - 32)))


def test_time_at_the_end_of_its_48_bits_is_badtime():
    """C11: no overflow anywhere."""
    message, _ = signed_request(now=2**48 - 1, fudge=65535)
    assert refused(message).error == codes.BADTIME


# --- the record's form, §5.1, §5.2 ---------------------------------------------------------------------------------


def test_a_tsig_that_is_not_last_is_formerr():
    """§5.1, C11."""
    message, _ = signed_request()
    opt = b"\x00\x00\x29\x04\xd0" + bytes(6)
    with pytest.raises(BadRequest, match="last"):
        parse_request(message[:10] + b"\x00\x02" + message[12:] + opt)


def test_two_tsig_records_are_formerr():
    message, _ = signed_request()
    with pytest.raises(BadRequest):
        parse_request(sign(message, KEY, NOW)[0])


def test_a_tsig_in_the_answer_section_is_formerr():
    message, _ = signed_request()
    with pytest.raises(BadRequest):
        parse_request(message[:6] + b"\x00\x01\x00\x00\x00\x00" + message[12:])


@pytest.mark.parametrize("head", [b"\x00\xfa\x00\x01\x00\x00\x00\x00", b"\x00\xfa\x00\xff\x00\x00\x00\x01"])
def test_a_class_other_than_any_or_a_ttl_other_than_0_is_formerr(head):
    """§4.2, C11."""
    message, _ = signed_request()
    with pytest.raises(BadRequest, match="class"):
        parse_request(message.replace(b"\x00\xfa\x00\xff\x00\x00\x00\x00", head))


def test_an_error_in_a_request_is_formerr():
    """C11."""
    with pytest.raises(BadRequest):
        parse_request(signed_request(error=codes.BADTIME)[0])


def test_a_compressed_algorithm_name_is_formerr():
    """§4.2, C11."""
    message, _ = signed_request()
    record = find_tsig(message)
    assert record is not None
    with pytest.raises(BadRequest, match="compressed"):
        parse_request(with_record(strip_tsig(message, record), record._replace(algorithm=b"\xc0\x0c")))


def test_a_compressed_key_name_is_read():
    key = TsigKey(ZONE, "hmac-sha256", bytes(32))
    message, mac = sign(QUERY, key, NOW)
    record = find_tsig(message)
    assert record is not None
    compressed = with_record(QUERY, record._replace(key_name=b"\xc0\x0c"))
    found = find_tsig(compressed, key.name)
    assert found is not None
    assert (found.key_name, found.mac) == (ZONE, mac)
    assert isinstance(verify_request(compressed, found, {key.name: key}, NOW), Verified)


def test_a_tsig_cut_anywhere_or_with_lengths_past_its_end_is_formerr():
    """C11: nothing underflows, nothing but WireError comes out."""
    message, _ = signed_request()
    record = find_tsig(message)
    assert record is not None
    for end in range(record.offset, len(message)):
        with pytest.raises(WireError):
            read_tsig(message[:end], record.offset)
    size_at = record.offset + len(KEY.name) + 8
    for size in range(message[size_at + 1]):
        with pytest.raises(WireError):
            read_tsig(message[:size_at] + bytes((0, size)) + message[size_at + 2 :], record.offset)
    mac_size_at = size_at + 2 + len(record.algorithm) + 8
    for size in (0, 31, 33, 38, 39, 0xFFFF):
        with pytest.raises(WireError):
            read_tsig(message[:mac_size_at] + size.to_bytes(2, "big") + message[mac_size_at + 2 :], record.offset)


def test_another_last_record_is_no_tsig():
    assert find_tsig(QUERY) is None
    assert find_tsig(build_query(1, ZONE, codes.SOA, edns=True), KEY.name) is None


@pytest.mark.parametrize(
    "message",
    [
        bytes(11),
        bytes.fromhex("000000000000000000000001"),
        bytes.fromhex("000000000000000000000002") + bytes(10),
        bytes.fromhex("000000000000000000000002") + bytes(8) + b"\xff\xff",
    ],
)
def test_a_message_that_cannot_be_walked_to_its_tsig_is_refused(message):
    with pytest.raises(WireError):
        find_tsig(message)


def test_octets_behind_the_tsig_are_refused():
    message, _ = signed_request()
    with pytest.raises(WireError, match="follow"):
        find_tsig(message + b"\x00", KEY.name)


# --- error replies, §5.3.2 -----------------------------------------------------------------------------------------


def answer(message: bytes, failure: TsigFailure, now: int = NOW, limit: int = 65535) -> tuple[bytes, TsigRecord]:
    request = parse_request(message)
    assert request.tsig is not None
    data = error_reply(notauth(message), request.tsig, failure, now, limit)
    record = find_tsig(data)
    assert record is not None
    assert data[3] & 15 == codes.NOTAUTH
    return data, record


def test_badkey_is_answered_without_a_mac_under_the_name_and_algorithm_of_the_request():
    message = changed(signed_request()[0], key_name=names.from_text("nobody"))
    _, record = answer(message, refused(message))
    assert (record.error, record.mac, record.original_id) == (codes.BADKEY, b"", 77)
    assert (record.key_name, record.algorithm) == (names.from_text("nobody"), ALGORITHMS["hmac-sha256"].wire)


def test_badtime_is_answered_signed_with_the_requests_time_and_our_own_in_other():
    """§5.2.3."""
    message, mac = signed_request(now=NOW - 1000, fudge=200)
    data, record = answer(message, refused(message))
    assert (record.error, record.time_signed, record.fudge, record.server_time) == (18, NOW - 1000, 200, NOW)
    unsigned = strip_tsig(data, record)
    assert sign(unsigned, KEY, NOW - 1000, mac, fudge=200, error=18, other=NOW.to_bytes(6, "big"))[0] == data


def test_badtrunc_is_answered_signed():
    """§5.2.4."""
    message, mac = signed_request()
    message = changed(message, mac=mac[:20])
    data, record = answer(message, refused(message))
    assert sign(strip_tsig(data, record), KEY, NOW, mac[:20], error=22)[0] == data


@pytest.mark.parametrize("limit", [512, 1232])
def test_names_of_255_octets_do_not_push_an_error_reply_over_the_limit(limit):
    """C04."""
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\x00"
    message = changed(signed_request()[0], key_name=longest, algorithm=longest)
    request = parse_request(message)
    assert request.tsig is not None
    data = error_reply(notauth(message), request.tsig, refused(message), NOW, limit)
    assert len(data) <= limit
    assert dns.message.from_wire(data, continue_on_error=True).rcode() == dns.rcode.NOTAUTH


def test_an_error_reply_gives_up_its_question_before_its_tsig():
    message, _ = signed_request()
    for failed in (message, changed(message, mac=bytes(32)), signed_request(now=NOW - 999)[0]):
        failure = TsigFailure(codes.BADTRUNC, Reason.TSIG_BADTRUNC, KEY) if failed == message else refused(failed)
        whole, record = answer(failed, failure)
        short, short_record = answer(failed, failure, limit=len(whole) - 1)
        assert len(whole) - len(short) == len(QUERY) - 12
        assert short[2] & 2, "TC, so that the client comes back by TCP"
        assert short_record.error == record.error


# --- streams, §5.3.1 -----------------------------------------------------------------------------------------------


def reply(body: bytes = b"", rcode: int = 0) -> bytes:
    return b"\x00\x4d" + bytes((0x84, rcode)) + bytes(8) + body


def texts(count: int, additional: bool = False) -> bytes:
    """A message of `count` TXT records."""
    record = ZONE + b"\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x02\x01a"
    counts = (0, count) if additional else (count, 0)
    return (
        b"\x00\x4d\x84\x00\x00\x00"
        + counts[0].to_bytes(2, "big")
        + bytes(2)
        + counts[1].to_bytes(2, "big")
        + record * count
    )


def stream() -> tuple[StreamSigner, StreamVerifier]:
    mac = signed_request()[1]
    return StreamSigner(KEY, mac), StreamVerifier(KEY, mac)


def fails(verifier: StreamVerifier, message: bytes, now: int = NOW) -> TransferError:
    with pytest.raises(TransferError) as caught:
        verifier.check(message, now)
    return caught.value


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_stream_with_every_message_signed_is_verified_and_returned_without_tsig(count):
    signer, verifier = stream()
    for number in range(count):
        message = texts(number)
        assert verifier.check(signer.sign(message, NOW), NOW) == message
    verifier.finish()


def test_a_message_whose_last_additional_record_is_not_tsig_is_unsigned():
    signer, verifier = stream()
    verifier.check(signer.sign(reply(), NOW), NOW)
    assert verifier.check(texts(3, additional=True), NOW) == texts(3, additional=True)


def test_signed_messages_behind_unsigned_ones_cover_them():
    """§5.3.1: the digest runs over everything since the last MAC."""
    verifier = StreamVerifier(KEY, b"m" * 32)
    first, mac = sign(reply(), KEY, NOW, b"m" * 32)
    verifier.check(first, NOW)
    for _ in range(MAX_UNSIGNED):
        verifier.check(texts(2), NOW)
    # A signer that signs only now and then has one running digest.
    running = texts(2) * MAX_UNSIGNED
    last = reply()
    timers = NOW.to_bytes(6, "big") + (300).to_bytes(2, "big")
    digest = hmac.digest(KEY.secret, b"\x00\x20" + mac + running + last + timers, "sha256")
    record = TsigRecord(KEY.name, ALGORITHMS["hmac-sha256"].wire, NOW, 300, digest, 77, 0, b"", 0)
    assert verifier.check(with_record(last, record), NOW) == last
    verifier.finish()


def test_a_hundredth_unsigned_message_is_a_gap():
    """§5.3.1, C08."""
    signer, verifier = stream()
    verifier.check(signer.sign(reply(), NOW), NOW)
    for _ in range(MAX_UNSIGNED):
        verifier.check(reply(), NOW)
    assert fails(verifier, reply()).reason == Reason.TSIG_GAP


def test_an_unsigned_first_message_is_refused():
    """C06: data without a signature is that; an error is what the primary says it is, signed or not."""
    _, verifier = stream()
    assert fails(verifier, reply()).reason == Reason.TSIG_MISSING
    error = fails(verifier, reply(rcode=codes.REFUSED))
    assert error.reason == Reason.REFUSED
    assert "unsigned" in error.detail
    assert fails(verifier, reply(rcode=codes.NOTAUTH)).reason == Reason.NOTAUTH_ZONE
    assert "11" in fails(verifier, reply(rcode=11)).detail


def test_an_unsigned_last_message_is_refused_at_the_end():
    """C07."""
    signer, verifier = stream()
    verifier.check(signer.sign(reply(), NOW), NOW)
    verifier.check(reply(), NOW)
    with pytest.raises(TransferError) as caught:
        verifier.finish()
    assert caught.value.reason == Reason.TSIG_MISSING


def test_a_stream_without_a_message_is_refused_at_the_end():
    _, verifier = stream()
    with pytest.raises(TransferError):
        verifier.finish()


def test_messages_left_out_swapped_or_repeated_are_badsig():
    signer, _ = stream()
    first, second, third = (signer.sign(texts(n), NOW) for n in range(3))
    for order in ([first, third], [second], [first, first], [first, texts(9), second]):
        _, verifier = stream()
        for message in order[:-1]:
            verifier.check(message, NOW)
        assert fails(verifier, order[-1]).reason == Reason.TSIG_BADSIG


def test_a_reply_to_another_request_is_badsig():
    signer, _ = stream()
    assert fails(StreamVerifier(KEY, b"z" * 32), signer.sign(reply(), NOW)).reason == Reason.TSIG_BADSIG


def test_a_refused_message_changes_nothing_so_that_the_true_one_still_counts():
    """C12: over UDP anyone can send a wrong reply first."""
    signer, verifier = stream()
    true = signer.sign(reply(), NOW)
    forged = with_record(reply(), TsigRecord(KEY.name, ALGORITHMS["hmac-sha256"].wire, NOW, 300, b"", 77, 17, b"", 0))
    for wrong in (reply(), forged, changed(true, mac=bytes(32)), true[:-1], b""):
        fails(verifier, wrong)
    assert verifier.skew is None
    assert verifier.check(true, NOW) == reply()
    verifier.finish()


def test_a_reply_under_another_key_or_algorithm_is_named():
    mac = signed_request()[1]
    error = fails(StreamVerifier(KEY, mac), sign(reply(), OTHER_KEY, NOW, mac)[0])
    assert error.reason == Reason.TSIG_BADKEY
    assert "other-key" in error.detail
    key = TsigKey(KEY.name, "hmac-sha512", KEY.secret)
    assert fails(StreamVerifier(KEY, mac), sign(reply(), key, NOW, mac)[0]).reason == Reason.TSIG_BADALG


def test_a_shortened_or_lengthened_mac_in_a_reply_is_refused():
    """C05."""
    signer, verifier = stream()
    true = signer.sign(reply(), NOW)
    record = find_tsig(true)
    assert record is not None
    for size in (0, 1, 16, 31):
        assert fails(verifier, changed(true, mac=record.mac[:size])).reason == Reason.TSIG_BADTRUNC
    assert fails(verifier, changed(true, mac=record.mac + b"\x00")).reason == Reason.TSIG_BADSIG


def test_a_reply_at_a_wrong_time_says_how_far_and_which_way():
    signer, verifier = stream()
    error = fails(verifier, signer.sign(reply(), NOW + 400), NOW)
    assert error.reason == Reason.TSIG_BADTIME
    assert "400 s ahead of ours" in error.detail
    assert verifier.skew == 400


def test_the_skew_of_a_good_reply_is_kept():
    signer, verifier = stream()
    verifier.check(signer.sign(reply(), NOW - 7), NOW)
    assert verifier.skew == -7


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (codes.BADKEY, Reason.TSIG_BADKEY),
        (codes.BADSIG, Reason.TSIG_BADSIG),
        (codes.BADTRUNC, Reason.TSIG_BADTRUNC),
        (codes.BADTIME, Reason.TSIG_BADTIME),
        (21, Reason.TSIG_BADSIG),
    ],
)
def test_the_primarys_own_complaint_is_passed_on(error, reason):
    _, verifier = stream()
    record = TsigRecord(KEY.name, ALGORITHMS["hmac-sha256"].wire, NOW, 300, b"", 77, error, b"", 0)
    caught = fails(verifier, with_record(reply(rcode=9), record))
    assert caught.reason == reason
    assert "primary says" in caught.detail


@pytest.mark.parametrize(("ours", "words"), [(NOW + 1000, "1000 s behind ours"), (NOW - 1000, "1000 s ahead of ours")])
def test_the_badtime_reply_that_we_send_tells_a_client_of_ours_both_clocks(ours, words):
    """Our server's error reply, read by our client."""
    message, mac = signed_request(now=ours)
    data, _ = answer(message, refused(message))
    verifier = StreamVerifier(KEY, mac)
    error = fails(verifier, data, ours)
    assert error.reason == Reason.TSIG_BADTIME
    assert words in error.detail
    assert verifier.skew == NOW - ours


def test_a_forged_badtime_does_not_move_the_observed_skew():
    _, verifier = stream()
    other = (NOW + 5000).to_bytes(6, "big")
    record = TsigRecord(KEY.name, ALGORITHMS["hmac-sha256"].wire, NOW, 300, bytes(32), 77, codes.BADTIME, other, 0)
    assert "5000 s ahead" in fails(verifier, with_record(reply(rcode=9), record)).detail
    assert verifier.skew is None


def test_a_reply_cut_at_every_octet_is_a_clean_failure():
    """C03."""
    signer, verifier = stream()
    true = signer.sign(texts(2), NOW)
    for end in range(len(true)):
        fails(verifier, true[:end])
    assert verifier.check(true, NOW) == texts(2)


# --- the other side is dnspython -----------------------------------------------------------------------------------

KEYRING = {dns.name.from_text("transfer-key"): dns.tsig.Key("transfer-key", KEY.secret, "hmac-sha256")}


def their_request(algorithm: str = "hmac-sha256") -> dns.message.Message:
    message = dns.message.make_query("example.com", "AXFR")
    message.use_tsig(dns.tsig.Key("transfer-key", KEY.secret, algorithm))
    return message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspythons_request_is_verified_and_it_verifies_our_reply(algorithm):
    key = TsigKey(KEY.name, algorithm, KEY.secret)
    theirs = their_request(algorithm)
    data = theirs.to_wire()
    now = int(time.time())
    request = parse_request(data)
    assert request.tsig is not None
    verified = verify_request(data, request.tsig, {key.name: key}, now)
    assert isinstance(verified, Verified)
    ours, _ = sign(render(request, Reply(), 512, 1232), key, now, verified.mac)
    keyring = {dns.name.from_text("transfer-key"): dns.tsig.Key("transfer-key", KEY.secret, algorithm)}
    assert dns.message.from_wire(ours, keyring=keyring, request_mac=theirs.mac).had_tsig


def test_dnspython_verifies_our_stream():
    theirs = their_request()
    theirs.to_wire()
    now = int(time.time())
    signer = StreamSigner(KEY, theirs.mac)
    context = None
    for _ in range(4):
        data = signer.sign(reply(), now)
        message = dns.message.from_wire(
            data, keyring=KEYRING, request_mac=theirs.mac, multi=True, tsig_ctx=context, xfr=True
        )
        assert message.had_tsig
        context = message.tsig_ctx


def test_dnspythons_stream_is_verified():
    data, mac = sign(QUERY, KEY, int(time.time()))
    query = dns.message.from_wire(data, keyring=KEYRING)
    verifier = StreamVerifier(KEY, mac)
    context = None
    for _ in range(4):
        message = dns.message.make_response(query)
        message.use_tsig(KEYRING, "transfer-key")
        message.request_mac = query.mac
        wire = message.to_wire(multi=True, tsig_ctx=context)
        context = message.tsig_ctx
        verifier.check(wire, int(time.time()))
    verifier.finish()


def test_dnspython_raises_the_error_that_we_answer():
    theirs = their_request()
    data = theirs.to_wire()
    request = parse_request(data)
    assert request.tsig is not None
    now = int(time.time()) + 1000
    failure = verify_request(data, request.tsig, KEYS, now)
    assert isinstance(failure, TsigFailure)
    ours = error_reply(notauth(data), request.tsig, failure, now)
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(ours, keyring=KEYRING, request_mac=theirs.mac)


def test_a_signed_reply_stays_within_the_limit_that_render_was_given():
    request: Request = parse_request(signed_request()[0])
    rrsets = Reply()
    data = render(request, rrsets, 512 - signature_size(KEY), 1232)
    assert len(sign(data, KEY, NOW, b"m" * 32)[0]) <= 512
