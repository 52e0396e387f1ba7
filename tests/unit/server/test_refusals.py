"""Refused transfers and NOTIFYs: the first few in full, the rest as counts."""

from nameserver.errors import Reason
from nameserver.query.exchange import Refused
from nameserver.server.refusals import SHOWN, Refusals


def test_a_flood_of_refusals_is_told_in_part_and_counted_in_full():
    refusals = Refusals()
    for number in range(SHOWN + 7):
        refusals.add(Refused(b"\x07example\x00", f"192.0.2.{number}", "axfr", Reason.REFUSED, b"\x01k\x00"))
    told = refusals.take()
    assert len(told["shown"]) == SHOWN
    first = {"asked": "axfr", "reason": "refused", "zone": "example", "source": "192.0.2.0", "key": "k"}
    assert told["shown"][0] == first
    assert told["more"] == [["axfr", "refused", 7]]
    assert refusals.take() == {"shown": [], "more": []}
