"""What a size of EDNS is said to be proven by: an answer that is large enough, and nothing else."""

import asyncio

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.migrate.checks import check_edns

ZONE = dns.name.from_text("shop.example.")
SERVER = Endpoint("192.0.2.1", 53)


class Server(Asker):
    """Has answers of these octets by type, sends up to `limit` over UDP; the path loses more than `path`."""

    def __init__(self, sizes: dict[str, int], limit: int = 65535, path: int = 65535, tcp: bool = True) -> None:
        super().__init__()
        self.sizes, self.limit, self.path, self.tcp = sizes, limit, path, tcp

    async def ask(self, question: Question, endpoint: Endpoint, *, tcp: bool | None = None, **_: object) -> Outcome:
        octets = self.sizes.get(dns.rdatatype.to_text(question.type), 80)
        message = dns.message.make_response(question.message())
        if not tcp and octets > min(self.limit, question.size):
            octets = 40
            message.flags |= dns.flags.TC
        if (tcp and not self.tcp) or (not tcp and octets > self.path):
            return Silence(endpoint, bool(tcp), Reason.CONNECT_TIMEOUT, "no answer")
        message.wire = bytes(octets)
        return Reply(endpoint, bool(tcp), message, 0.0)


def results(server: Server, zone: dns.name.Name = ZONE) -> tuple[list[str], int]:
    steps = asyncio.run(check_edns.measure(server, zone, SERVER))
    return [step.result for step in steps], check_edns.proven(steps)


@pytest.mark.parametrize(
    ("server", "told", "largest"),
    [
        (Server({}), ["good", "not proven", "not proven"], 80),
        (Server({"DNSKEY": 500}), ["good", "not proven", "not proven"], 500),
        (Server({"TXT": 513}), ["good", "good", "not proven"], 513),
        (Server({"TXT": 1000, "MX": 1233}), ["good", "good", "good"], 1233),
        (Server({"TXT": 1000, "MX": 3000}, limit=1232), ["good", "good", "good"], 1000),
        (Server({"DNSKEY": 6000}), ["good", "good", "good"], 80),
        (Server({"TXT": 1000, "MX": 3000}, path=1400), ["good", "good", "connect-timeout"], 1000),
        (Server({"TXT": 1000}, path=600), ["good", "connect-timeout", "connect-timeout"], 80),
        (Server({}, tcp=False), ["good", "not proven", "not proven"], 80),
    ],
    ids=[
        "small answers", "none above 512", "one above 512", "one in each class", "the server sends 1232 at most",
        "one larger than any", "fragments are lost", "more than 600 is lost", "no TCP",
    ],
)  # fmt: skip
def test_a_size_is_proven_by_an_answer_larger_than_the_size_before_it(server: Server, told: list[str], largest: int):
    assert results(server) == (told, largest)


@pytest.mark.parametrize("labels", [1, 2, 3, 4])
def test_the_longest_question_fits_below_a_zone_of_any_length(labels: int):
    zone = dns.name.from_text(".".join(["a" * (63 if index else 59) for index in range(labels)]) + ".")
    name = check_edns._long_name(zone)
    assert name.is_subdomain(zone)
    assert len(name.to_wire() or b"") <= 255
