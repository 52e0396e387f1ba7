"""RFC 6891 (EDNS) and RFC 8914 (extended errors), as far as octets go."""

import dns.edns
import dns.message
import dns.rdata
import pytest

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.edns import MAX_OPTIONS, Edns, ede_option, pack_opt, parse_opt, parse_options


def option(code: int, value: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def test_the_class_is_the_udp_size_and_the_ttl_holds_rcode_version_and_flags():
    """§6.1.2, §6.1.3."""
    assert parse_opt(1232, 0x01_00_8001, b"") == Edns(1232, 0, True, 0x8001, (), 1)
    assert parse_opt(512, 0, b"") == Edns(512, 0, False, 0, ())


def test_options_are_read_in_the_order_sent_duplicates_included():
    """§6.1.2."""
    rdata = option(3, b"") + option(65001, b"x") + option(3, b"y")
    edns = parse_opt(512, 0, rdata)
    assert edns.options == ((3, b""), (65001, b"x"), (3, b"y"))
    assert edns.option(3) == b""
    assert edns.option(65001) == b"x"
    assert edns.option(9) is None


@pytest.mark.parametrize("end", [1, 2, 3, 4, 5])
def test_options_that_do_not_fill_the_record_are_refused(end):
    with pytest.raises(WireError) as caught:
        parse_options(option(3, b"xy")[:end])
    assert caught.value.rcode == codes.FORMERR


def test_the_number_of_options_is_bounded():
    """C42: work per packet has a bound."""
    assert len(parse_options(option(3, b"") * MAX_OPTIONS)) == MAX_OPTIONS
    with pytest.raises(WireError, match="100"):
        parse_options(option(3, b"") * (MAX_OPTIONS + 1))


def test_options_of_an_unknown_version_are_not_looked_at():
    """§6.1.3: BADVERS is answered whatever a later version may put there."""
    edns = parse_opt(512, 0x00_01_0000, b"\xff")
    assert (edns.version, edns.options) == (1, ())


def test_our_opt_is_what_dnspython_reads():
    """§6.1.2."""
    header = bytes.fromhex("000180000000000000000001")
    opt = pack_opt(1400, 1, 0, 0x8000, [(codes.OPT_NSID, b"ns"), (65001, b"")])
    message = dns.message.from_wire(header + opt)
    assert (message.payload, message.edns, message.ednsflags & 0xFFFF, message.rcode()) == (1400, 0, 0x8000, 16)
    assert [(o.otype, o.to_wire()) for o in message.options] == [(3, b"ns"), (65001, b"")]


def test_an_empty_opt_has_eleven_octets():
    assert pack_opt(1232).hex() == "00002904d0" + "00" * 6


def test_an_extended_error_is_its_code_and_utf8_text():
    """RFC 8914 §2."""
    code, value = ede_option(14, "zone ëxample")
    parsed = dns.edns.option_from_wire(code, value, 0, len(value))
    assert isinstance(parsed, dns.edns.EDEOption)
    assert (parsed.code, parsed.text) == (14, "zone ëxample")
    assert ede_option(18) == (15, b"\x00\x12")
