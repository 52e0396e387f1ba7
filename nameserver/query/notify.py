"""NOTIFY from a primary (RFC 1996): who may send one, and what is passed on.

A NOTIFY carries no data that is believed. All it can do is to have the primary asked for its serial sooner, so the
only questions are whether we hold the zone as a secondary, and whether the sender may set us to work.
"""

from nameserver.query.exchange import Exchange, NotifyReceived, refusal
from nameserver.query.zoneset import SECONDARY, ZoneSet
from nameserver.wire import codes
from nameserver.wire.reply import Reply

_CLOSE = 2**30  # serials nearer than this are in an order that also a third one near them does not turn round


def newest_hint(one: int | None, other: int | None) -> int | None:
    """What two NOTIFYs of one sender come to: the newer of their serials; None where one had none, or it is not clear.

    None is the hint that always has the primary asked. So a serial far away, which anyone can forge, does not stand for
    the one that it would hide.
    """
    if one is None or other is None:
        return None
    ahead = (other - one) & 0xFFFFFFFF
    if ahead < _CLOSE:
        return other
    return one if ahead > 2**32 - _CLOSE else None


def judge_notify(exchange: Exchange, zones: ZoneSet) -> tuple[Reply, NotifyReceived | None]:
    """The reply to a NOTIFY, and what it announces if it is accepted.

    FORMERR for anything but SOA of class IN, NOTAUTH for a zone that is not ours, REFUSED for a zone that takes no
    NOTIFY from this sender; else an acknowledgement (RFC 1996 §4.7).
    """
    request = exchange.request
    if request.qclass != codes.IN or request.qtype != codes.SOA:
        return refusal(codes.FORMERR), None
    served = zones.exact(request.qname_folded)
    if served is None:
        return refusal(codes.NOTAUTH, codes.EDE_NOT_AUTHORITATIVE), None
    served.control_queries += 1
    if served.type != SECONDARY or not served.allow_notify.allows(exchange.address, exchange.key_name, exchange.client):
        return refusal(codes.REFUSED, codes.EDE_PROHIBITED), None
    received = NotifyReceived(served.name, str(exchange.address), request.soa_serial, exchange.key_name)
    return Reply(authoritative=True), received
