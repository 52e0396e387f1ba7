"""For how long a server says that a zone is good: EDNS EXPIRE (RFC 7314), asked of it over a socket."""

import dns.edns
import dns.message
import dns.query
from support.ask import LOOPBACK

EXPIRE = 9


def expire_told(port: int, zone: str) -> int | None:
    """The value in the answer to an SOA query; None where there is none."""
    query = dns.message.make_query(zone, "SOA", use_edns=0, options=[dns.edns.GenericOption(EXPIRE, b"")], flags=0)
    reply = dns.query.udp(query, LOOPBACK, port=port, timeout=5)
    return next((int.from_bytes(each.data, "big") for each in reply.options if each.otype == EXPIRE), None)
