"""Which answers vary, where the zone itself changes all the time."""

import asyncio
from itertools import cycle

import dns.flags
import dns.message
import dns.rrset
from dns.rdatatype import SOA

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.asking.zone_stream import ZoneStream, make_record
from nameserver.migrate.checks.steering import probe
from nameserver.wire import codes, names
from nameserver.zone.soa import parse_soa
from nameserver.zone.sorted_places import canonical_place

ZONE = b"\x07example\x03com\x00"
REST = "3600 900 1209600 300"


class Busy(Asker):
    """A server with another serial at each question. www has two addresses in turn, or three one after the other."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.serial = 7
        self.addresses = cycle(addresses) if len(addresses) == 2 else iter([*addresses, *addresses[-1:] * 20])

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        message = dns.message.make_response(question.message())
        message.flags |= dns.flags.AA
        if question.type == SOA:
            self.serial += 1
            text = f"ns1.example.com. h.example.com. {self.serial} {REST}"
        else:
            text = next(self.addresses)
        message.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.type, text))
        return Reply(endpoint, False, message, 0.0)


def varying(*addresses: str) -> int:
    head = names.from_text("ns1.example.com.") + names.from_text("h.example.com.")
    rdata = head + b"".join(number.to_bytes(4, "big") for number in (7, 3600, 900, 1209600, 300))
    www = make_record(canonical_place(b"\x03www"), codes.A, b"\xc0\0\2\1", 60)
    stream = ZoneStream(ZONE, parse_soa(rdata), rdata, 300, [www])
    return len(asyncio.run(probe(Busy(*addresses), stream, Endpoint("192.0.2.1", 53)))[0])


def test_a_serial_that_is_another_each_second_does_not_hide_that_answers_are_steered():
    assert varying("192.0.2.1", "192.0.2.2") == 1


def test_a_record_that_was_changed_meanwhile_is_no_answer_that_varies():
    assert varying("192.0.2.1", "192.0.2.1", "192.0.2.2") == 0
