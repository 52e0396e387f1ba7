"""Memory runs out during a transfer: the transfer fails, the rest of the server does not notice."""

import resource
from collections.abc import Iterator

from support.bad_primary import Zone
from support.pair import Own
from support.scripted_primary import Act, Question, Versions, framed, notify, scripted_beside

from nameserver.wire import codes
from nameserver.wire.rrset import Record

ZONE = "example.com"
MEBIBYTE = 1 << 20
OCTETS = 100 * MEBIBYTE  # of the version that there is no memory for


class Huge(Versions):
    """A good primary whose next version is larger than what memory is left."""

    def __call__(self, question: Question) -> Iterator[Act]:  # type: ignore[override]
        if question.kind == "SOA" or self.serial != 6:
            yield from super().__call__(question)
            return
        zone = Zone(question.zone)
        yield framed(question.message(zone.soa(6), *zone.body(6)))
        text = (b"\xff" + b"x" * 255) * 16
        for first in range(0, OCTETS // len(text), 12):
            owners = (b"\x08%08d" % number + zone.wire for number in range(first, first + 12))
            yield framed(question.message(*(Record(owner, codes.TXT, codes.IN, 300, text) for owner in owners)))
        yield framed(question.message(zone.soa(6)))


def test_a_transfer_that_memory_does_not_suffice_for_fails_and_nothing_else_does() -> None:
    """F74: limits on a zone come first (`max-zone-size`); where they allow more than the machine has, this happens."""
    versions = Huge()
    with scripted_beside(versions) as primary, Own(template={"min-refresh-time": '"1h"'}) as ours:
        ours.remote("primary", primary.port)
        ours.zone_table(ZONE, primaries='["primary"]')
        ours.start()
        transfer = ours.status()["server"]["pid"]
        with open(f"/proc/{transfer}/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        before = resource.prlimit(transfer, resource.RLIMIT_AS, (now + 40 * MEBIBYTE, resource.RLIM_INFINITY))
        versions.serial = 6
        notify(ours.port, ZONE, 6)
        ours.wait(lambda: ours.zone(ZONE).get("last_reason") == "quota", 30, "the transfer to fail")
        assert "memory ran out" in ours.zone(ZONE)["last_detail"]
        assert "short of memory" in ours.command("why", ZONE, expect=1)
        assert ours.serial(ZONE) == 5
        assert ours.status()["server"]["pid"] == transfer
        resource.prlimit(transfer, resource.RLIMIT_AS, before)
        versions.serial = 7
        notify(ours.port, ZONE, 7)
        ours.wait(lambda: ours.serial(ZONE) == 7, 20, "the next version")
        ours.stop()
