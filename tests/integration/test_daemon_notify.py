"""NOTIFYs from real sockets to real daemons: storms of them."""

import os
import socket
import time
from itertools import cycle

import pytest
from support.pair import Own, frames, pair, read_frame
from support.process import resident
from support.zones import small_zone_text

from nameserver.wire import codes, names
from nameserver.wire.query import build_query

COUNT = int(os.environ.get("NAMESERVER_STORM", "6000"))  # NOTIFYs
STORMY, CALM, CLOSED = "stormy.example", "calm.example", "closed.example"
MEBIBYTE = 1024 * 1024


def notify(zone: str) -> bytes:
    """Without a serial, so that each might be news."""
    return build_query(1, names.from_text(zone), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)


def total(ours: Own, metric: str, *labels: str) -> float:
    return sum(
        value
        for name, value in ours.metrics().items()
        if name.startswith(metric + "{") and all(label in name for label in labels)
    )


def not_counted(ours: Own) -> float:
    """NOTIFYs that came and of which the metrics do not say (yet) what became."""
    return total(ours, "nameserver_queries_total", 'opcode="NOTIFY"') - total(ours, "nameserver_notify_received_total")


def storm(ours: Own, kinds: list[bytes], count: int, transport: str) -> dict[int, int]:
    """Send so many, as fast as they are answered, each from one of a few ports; the replies by RCODE.

    No more are under way than a socket's buffer holds, so that none is lost but by us.
    """
    rcodes: dict[int, int] = {}
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    clients = [socket.socket(socket.AF_INET, kind) for _ in range(16)]  # both workers get a share
    for client in clients:
        client.connect(("127.0.0.1", ours.port))
        client.settimeout(10)
    messages = cycle(kinds)
    for _ in range(0, count, 16 * len(clients)):
        for client in clients:
            batch = [next(messages) for _ in range(16)]
            for piece in batch if transport == "udp" else [frames(*batch)]:
                client.sendall(piece)
        for client in clients:
            for _ in range(16):
                reply = client.recv(512) if transport == "udp" else read_frame(client)
                rcodes[reply[3] & 0x0F] = rcodes.get(reply[3] & 0x0F, 0) + 1
    for client in clients:
        client.close()
    return rcodes


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_storm_of_notifies_costs_two_checks_a_second_and_holds_up_nobody(transport: str) -> None:
    """For a zone of ours, from where it takes them; for one that takes none from there; for names of nobody's."""
    with pair([STORMY, CALM, CLOSED], secondary={"workers": 2}) as (feeder, ours):
        ours.tables[f'zone."{STORMY}"']["allow-notify"] = '[{ address = "127.0.0.0/8" }]'
        ours.reread()
        kinds = [notify(CLOSED)]
        for number in range(50):
            kinds += notify(STORMY), notify(f"random-{number}.example")
        ours.wait(lambda: not_counted(ours) == 0, what="what the feeder told to be in the metrics")
        storm(ours, kinds, COUNT // 8, transport)  # whatever is allocated once
        began, memory, log = time.monotonic(), resident(ours.pids()), len(ours.log)
        checks = total(ours, "nameserver_soa_checks_total")
        transfers = total(ours, "nameserver_transfers_total")

        rcodes = storm(ours, kinds, COUNT // 2, transport)
        feeder.update(CALM, small_zone_text(CALM, 2))
        second = storm(ours, kinds, COUNT // 2, transport)
        rcodes = {code: count + rcodes[code] for code, count in second.items()}
        ours.wait(lambda: ours.serial(CALM) == 2, what="the change of another zone")

        assert set(rcodes) == {codes.NOERROR, codes.REFUSED, codes.NOTAUTH}
        assert min(rcodes.values()) > 0
        took = time.monotonic() - began
        assert (
            1 <= total(ours, "nameserver_soa_checks_total") - checks <= 2 * took + 2 + 4
        )  # 4: of the zone that changed
        assert total(ours, "nameserver_transfers_total") - transfers == 1
        assert resident(ours.pids()) - memory < 16 * MEBIBYTE
        lines = ours.log[log:]
        workers = 2
        assert lines.count(f"notify in zone={STORMY}") <= workers * 20 * (took + 1), "at level debug: one for many"
        assert f"notify in zone={CALM} source=127.0.0.1 key=transfer-key serial=2 outcome=ok" in lines
        refused = [line for line in lines.splitlines() if "notify in" in line and "refused" in line]
        assert len(refused) <= 20 * 2 * (took / 60 + 2)  # of a kind and minute

        ours.wait(lambda: not_counted(ours) == 0, what="every NOTIFY to be in the metrics")
        assert ours.page("/health") == (200, "ok\n")
        ours.stop()
