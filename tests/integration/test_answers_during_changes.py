"""Questions while one incremental transfer after the other is applied: every answer is of one version, whole.

Each version tells its number in many places, so that an answer from two versions shows:

    alias    CNAME to the version's own name, and the TXT there
    many     twenty addresses in one RRset
    x.sub    a delegation: the name of its server, and as glue the address of that
    v-N      exists in version N only: else NXDOMAIN, with the SOA in the authority section
"""

import os
import socket
import threading
from collections import Counter

import dns.message
import dns.rcode
import dns.rdatatype
from support.ask import LOOPBACK
from support.bad_primary import Zone
from support.daemon import Nameserver
from support.scripted_primary import Question, Versions, notify, parted, scripted_beside

from nameserver.wire.rrset import Record

ZONE = "example.com"
CHANGES = int(os.environ.get("NAMESERVER_CHANGES", "60"))
ASKERS = 2


def marked(serial: int) -> list[Record]:
    """What a version holds that no other does."""
    zone = Zone(ZONE)
    at = f"10.{serial >> 8 & 255}.{serial & 255}"
    return [
        zone.rr(f"alias 300 CNAME v-{serial}"),
        zone.rr(f"v-{serial} 300 TXT {serial}"),
        *(zone.rr(f"many 300 A {at}.{number}") for number in range(20)),
        zone.rr(f"sub 300 NS ns-{serial}.sub"),
        zone.rr(f"ns-{serial}.sub 300 A {at}.99"),
    ]


class Marked(Versions):
    """A good primary whose differences lead over every version in between."""

    def messages(self, question: Question) -> list[bytes]:
        zone = Zone(question.zone)
        last = zone.soa(self.serial)
        if question.kind == "SOA":
            return [question.message(last)]
        if question.kind == "AXFR" or question.held is None:
            return parted(question, [last, *zone.body(5), *marked(self.serial), last], 10)
        records = [last]
        for serial in range(question.held, self.serial):
            records += [zone.soa(serial), *marked(serial), zone.soa(serial + 1), *marked(serial + 1)]
        return parted(question, [*records, last] if len(records) > 1 else records, 10)


def versions_in(answer: dns.message.Message) -> set[int]:
    """Every version that something in an answer belongs to."""
    found: set[int] = set()
    for rrset in [*answer.answer, *answer.authority, *answer.additional]:
        for rdata in rrset:
            text = rdata.to_text().strip('"')
            match rrset.rdtype:
                case dns.rdatatype.A if rrset.name.labels[0] != b"ns1":
                    high, low = text.split(".")[1:3]
                    found.add(int(high) << 8 | int(low))
                case dns.rdatatype.TXT:
                    found.add(int(text))
                case dns.rdatatype.CNAME | dns.rdatatype.NS:
                    found.add(int(text.split(".")[0].rpartition("-")[2]))
                case dns.rdatatype.SOA:
                    found.add(int(text.split()[2]))
    return found


class Asker(threading.Thread):
    """Asks without a pause until told to stop; keeps what was wrong and counts what was seen."""

    def __init__(self, port: int, current: list[int]) -> None:
        super().__init__()
        self.port, self.current = port, current
        self.stop = threading.Event()
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()
        self.versions: set[int] = set()

    def run(self) -> None:
        while not self.stop.is_set():
            # a socket each: the kernel shares them out among the workers
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(5)
                asking.connect((LOOPBACK, self.port))
                for _ in range(5):
                    number = self.current[0]
                    for name, rdtype in (
                        ("alias", "TXT"),
                        ("many", "A"),
                        ("x.sub", "A"),
                        (f"v-{number}", "TXT"),
                        (f"v-{number - 1}", "TXT"),
                    ):
                        query = dns.message.make_query(f"{name}.{ZONE}", rdtype, use_edns=0, payload=4096)
                        asking.send(query.to_wire())
                        self.judge(name, dns.message.from_wire(asking.recv(65535)))

    def judge(self, name: str, answer: dns.message.Message) -> None:
        kind = name.partition("-")[0]
        self.seen[f"{kind} {dns.rcode.to_text(answer.rcode())}"] += 1
        versions = versions_in(answer)
        self.versions |= versions
        records = sum(len(rrset) for rrset in (*answer.answer, *answer.authority, *answer.additional))
        if kind == "v":
            asked = int(name.partition("-")[2])
            right = len(versions) == 1 and (asked in versions) is (answer.rcode() == dns.rcode.NOERROR)
        else:
            right = len(versions) == 1 and records == {"alias": 2, "many": 20, "x.sub": 2}[kind]
        if not right:
            self.wrong.append(f"{name}: {answer}")


def test_no_answer_is_of_two_versions() -> None:
    primary = Marked(5)
    with (
        scripted_beside(primary) as server,
        Nameserver(zones=[ZONE], primary_port=server.port, workers=2, template={"min-refresh-time": "1h"}) as ours,
    ):
        ours.start()
        current = [5]
        askers = [Asker(ours.port, current) for _ in range(ASKERS)]
        for asker in askers:
            asker.start()
        try:
            for serial in range(6, 6 + CHANGES):
                primary.serial = serial
                notify(ours.port, ZONE, serial)
                ours.wait(lambda serial=serial: ours.serial(ZONE) == serial, 10, f"serial {serial}")
                current[0] = serial
        finally:
            for asker in askers:
                asker.stop.set()
            for asker in askers:
                asker.join()
        assert [wrong for asker in askers for wrong in asker.wrong] == []
        seen = sum((asker.seen for asker in askers), Counter())
        assert set(seen) == {"alias NOERROR", "many NOERROR", "x.sub NOERROR", "v NOERROR", "v NXDOMAIN"}, seen
        assert len(set().union(*(asker.versions for asker in askers))) > CHANGES / 4, "they asked all the while"
        kinds = Counter(question.kind for question in server.asked)
        assert (kinds["AXFR"], kinds["IXFR"]) == (1, CHANGES), "each change came as a difference"
