"""A zone by questions: whose answers count."""

import asyncio

import dns.flags
import dns.message
import dns.rrset
import pytest

from nameserver.config.model import Endpoint
from nameserver.errors import Reason, TransferError
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.checks.by_query import Askable, ask_zone

SOA = "ns1.shop.example. hostmaster.shop.example. 5 3600 900 1209600 300"


class Cache(Asker):
    """A resolver, or a server whose zone has expired: it has the SOA, and no authority."""

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Reply:
        message = dns.message.make_response(question.message())
        message.answer.append(dns.rrset.from_text(question.name, 300, "IN", "SOA", SOA))
        message.flags &= ~dns.flags.AA
        return Reply(endpoint, False, message, 0.0)


def test_a_server_without_authority_is_no_side_of_a_comparison():
    with pytest.raises(TransferError) as raised:
        asyncio.run(ask_zone(Cache(), b"\x04shop\x07example\x00", Endpoint("192.0.2.1", 53), Askable([])))
    assert raised.value.reason is Reason.NOT_AUTHORITATIVE
