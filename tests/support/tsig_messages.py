"""TSIG records that no honest sender makes: any fields, anywhere, behind any message."""

from nameserver.wire.tsig import TsigRecord, find_tsig, strip_tsig

RR_HEAD = b"\x00\xfa\x00\xff\x00\x00\x00\x00"  # type TSIG, class ANY, TTL 0


def rdata_of(record: TsigRecord) -> bytes:
    """The record's fields as they go on the wire."""
    return b"".join(
        (
            record.algorithm,
            record.time_signed.to_bytes(6, "big"),
            record.fudge.to_bytes(2, "big"),
            len(record.mac).to_bytes(2, "big"),
            record.mac,
            record.original_id.to_bytes(2, "big"),
            record.error.to_bytes(2, "big"),
            len(record.other).to_bytes(2, "big"),
            record.other,
        )
    )


def with_rr(message: bytes, owner: bytes, rdata: bytes, head: bytes = RR_HEAD, size: int | None = None) -> bytes:
    """`message` with one record more in its additional section; `size` is its RDLENGTH, if not the true one."""
    counted = message[:10] + (int.from_bytes(message[10:12], "big") + 1).to_bytes(2, "big") + message[12:]
    return counted + owner + head + (len(rdata) if size is None else size).to_bytes(2, "big") + rdata


def with_record(message: bytes, record: TsigRecord) -> bytes:
    """`message` (unsigned) with a TSIG record of exactly these fields."""
    return with_rr(message, record.key_name, rdata_of(record))


def taken_apart(message: bytes) -> tuple[bytes, TsigRecord]:
    """A signed message without its TSIG record, and the record."""
    record = find_tsig(message)
    assert record is not None
    return strip_tsig(message, record), record


def changed(message: bytes, **fields: object) -> bytes:
    """A signed message with some fields of its TSIG record replaced."""
    unsigned, record = taken_apart(message)
    return with_record(unsigned, record._replace(**fields))
