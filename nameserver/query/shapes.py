"""What the octets around a question's name say: everything in an ordinary message but id and name, understood once."""

from typing import NamedTuple

from nameserver.query.counters import TCP
from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import LARGEST_MESSAGE, PLAIN_UDP_SIZE
from nameserver.wire import codes
from nameserver.wire.cookie import CLIENT_SIZE, COOKIE_SIZE
from nameserver.wire.edns import DO, pack_opt
from nameserver.wire.render import ECHOED

_NOT_A_QUERY = 0xF800  # QR, and an opcode other than QUERY
_WHOLLY_PLAIN_HEADER = b"\0\1\0\0\0\0\0"  # one question, nothing in answer and authority, at most 255 additional
_OPT_FIXED = 11  # octets of an OPT record without options
_OPTION_HEADER = 4  # octets of an option before what it holds
# Types that need more than a look into the nodes to say whether they are there, or where to look.
_INVOLVED = frozenset({codes.DS, codes.RRSIG, codes.NSEC, codes.NSEC3, codes.OPT, codes.NXNAME})
_FIRST_META, _LAST_META = 128, 255  # RFC 6895 §3.1: QTYPEs and meta-types


class Shape(NamedTuple):
    """Everything in a message but id and name, understood."""

    qtype: int
    flags: int  # of an authoritative reply of ours
    opt: bytes  # ours, or nothing
    limit: int  # octets of the reply
    dnssec: bool


def read_shape(octets: bytes, transport: str, settings: QuerySettings, *, cookie: bool) -> Shape | None:
    """The shape of a message from its octets but id and name; None where that is not ordinary.

    With `cookie` its only option is a COOKIE, and neither its octets nor those of the reply's are there or counted.
    """
    flags = octets[0] << 8 | octets[1]
    edns = octets[9]
    if flags & _NOT_A_QUERY or octets[2:9] != _WHOLLY_PLAIN_HEADER or edns > 1 or (cookie and not edns):
        return None
    if len(octets) != 14 + edns * _OPT_FIXED + cookie * _OPTION_HEADER or octets[12:14] != b"\0\1":
        return None
    qtype = octets[10] << 8 | octets[11]
    if qtype in _INVOLVED or _FIRST_META <= qtype <= _LAST_META:
        return None
    opt, limit, sent = b"", PLAIN_UDP_SIZE, octets[14:]
    dnssec = False
    if edns:
        # Owner the root, type, VERSION 0 (RFC 6891 §6.1.2); size and flags may be any.
        if sent[:3] != b"\0\0\x29" or sent[6] or not _holds(sent[9:], cookie):
            return None
        dnssec = sent[7] & DO >> 8 != 0
        options = ((codes.OPT_COOKIE, bytes(COOKIE_SIZE)),) if cookie else ()
        opt = pack_opt(settings.max_udp_size, 0, 0, DO if dnssec else 0, options)
        limit = min(max(PLAIN_UDP_SIZE, sent[3] << 8 | sent[4]), settings.max_udp_size)
    if transport == TCP:
        limit = LARGEST_MESSAGE
    if cookie:
        opt, limit = opt[:-COOKIE_SIZE], limit - COOKIE_SIZE
    return Shape(qtype, codes.QR | codes.AA | flags & ECHOED, opt, limit, dnssec)


def _holds(rdata: bytes, cookie: bool) -> bool:
    """Whether an OPT's size of rdata, and what is here of that, are those of no option, or of a cookie alone."""
    if not cookie:
        return rdata == b"\0\0"
    size = rdata[5]
    return size in (CLIENT_SIZE, COOKIE_SIZE) and rdata == b"\0%c\0%c\0%c" % (
        _OPTION_HEADER + size,
        codes.OPT_COOKIE,
        size,
    )
