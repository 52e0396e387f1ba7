"""AXFR and IXFR requests (RFC 5936, RFC 1995): judged here, sent by the shell.

Permission comes before everything that depends on the zone's state, so that somebody who may not transfer a zone
learns nothing about it, and takes no place in the queue of those who may.
"""

from nameserver.query.counters import UDP
from nameserver.query.exchange import Exchange, TransferRequest, refusal
from nameserver.query.resolve import not_serving
from nameserver.query.zoneset import ZoneSet, ZoneState
from nameserver.wire import codes
from nameserver.wire.reply import Reply
from nameserver.zone.serial import Order, compare


def judge_transfer(exchange: Exchange, zones: ZoneSet) -> Reply | TransferRequest:
    """A reply that settles the matter, or the transfer that is to be sent.

    A reply settles it for whatever is not allowed or not possible, and for IXFR from a client that is not behind: our
    SOA alone (RFC 1995 §2).
    """
    request = exchange.request
    if request.qtype == codes.AXFR and exchange.transport == UDP:
        # Not defined (RFC 5936 §4.2): a well-formed question for something that nobody does, as Knot and NSD see it.
        return refusal(codes.NOTIMP, codes.EDE_NOT_SUPPORTED, "AXFR needs TCP")
    served = zones.exact(request.qname_folded)
    if served is None:
        return refusal(codes.NOTAUTH, codes.EDE_NOT_AUTHORITATIVE)
    if request.qtype == codes.IXFR and request.soa_serial is None:
        return refusal(codes.FORMERR, codes.EDE_OTHER, "IXFR needs the client's SOA in its authority section")
    served.control_queries += 1
    if not served.allow_transfer.allows(exchange.address, exchange.key_name, exchange.client):
        return refusal(codes.REFUSED, codes.EDE_PROHIBITED)
    zone = served.zone
    if zone is None or served.state is not ZoneState.SERVING:
        return not_serving(served)
    # The undefined order is no reason to send nothing: the client asked because it wants what we have.
    asked = request.soa_serial if request.qtype == codes.IXFR else None
    if asked is not None and compare(asked, zone.serial) in (Order.EQUAL, Order.NEWER):
        return Reply(authoritative=True, answer=[zone.soa])
    return TransferRequest(served, request.qtype, request, request.soa_serial, exchange.key, exchange.request_mac)
