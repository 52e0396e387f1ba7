"""The CHAOS class: what this server is, for operators who chose to tell (RFC 4892)."""

from nameserver.query.exchange import QuerySettings, refusal
from nameserver.wire import codes
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset

_VERSION = (b"\x07version\x04bind\x00", b"\x07version\x06server\x00")
_IDENTITY = (b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00")
_LONGEST_STRING = 255  # octets of one character-string (RFC 1035 §3.3)


def answer_chaos(request: Request, settings: QuerySettings) -> Reply:
    """The TXT record of a name that is configured; REFUSED for everything else."""
    text = ""
    if request.qtype in (codes.TXT, codes.ANY):
        if request.qname_folded in _VERSION:
            text = settings.version
        elif request.qname_folded in _IDENTITY:
            text = settings.identity
    if not text:
        return refusal(codes.REFUSED)
    rrset = RRset.of(request.qname, codes.TXT, 0, (_character_strings(text.encode()),), codes.CH)
    return Reply(authoritative=True, answer=[rrset])


def _character_strings(text: bytes) -> bytes:
    pieces = [text[start : start + _LONGEST_STRING] for start in range(0, len(text), _LONGEST_STRING)]
    return b"".join(bytes((len(piece),)) + piece for piece in pieces)
