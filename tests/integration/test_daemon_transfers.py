"""Transfers out of our daemon: to whom they are due, and beside the queries."""

import time
from contextlib import closing

import dns.message
import pytest
from support.ask import TransferRefused, transfer
from support.daemon import new_key
from support.own_server import commit_hosts
from support.pair import Own, connect, frames, read_frame
from support.process import free_port
from support.zones import small_zone_text

from nameserver.store.database import Store

ZONE, BIG = "small.example", "big.example"
RECORDS = 100_000


def test_a_large_zone_is_sent_while_queries_go_on_and_only_to_those_who_may() -> None:
    with Own() as ours:
        (ours.directory / "small").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"small"').pop("allow-transfer")
        # The large one is held from an earlier life: its primary is gone, and need not be there.
        with closing(Store.open(ours.directory / "state", 0.0)) as store:
            commit_hosts(store, BIG, 1, RECORDS)
        ours.remote("primary", free_port())
        ours.zone_table(BIG, primaries='["primary"]')
        ours.start()

        for key in (None, new_key("another-key")):
            with pytest.raises(TransferRefused):
                transfer(ours.port, BIG, key)
        with pytest.raises(TransferRefused, match="REFUSED"):
            transfer(ours.port, ZONE, ours.watch_key)

        assert _slowest_answer_during_a_transfer(ours) < 2.0

        def sent() -> float:
            names = ("nameserver_transfers_total", 'direction="out"', 'outcome="ok"')
            return sum(value for name, value in ours.metrics().items() if all(each in name for each in names))

        ours.wait(lambda: sent() == 1, what="the transfer to be counted")
        assert "transfer out zone=big.example" in ours.log
        ours.stop()


def _slowest_answer_during_a_transfer(ours: Own) -> float:
    """Fetch the zone in raw form, asking between any two of its messages; the longest time an answer took."""
    query = dns.message.make_query(BIG, "AXFR")
    query.use_tsig(ours.watch_key.dnspython)
    wire, records, messages, slowest = query.to_wire(), 0, 0, 0.0
    with connect(ours.port) as connection:
        connection.sendall(frames(wire))
        while records < RECORDS:
            data = read_frame(connection)
            records += int.from_bytes(data[6:8], "big")
            messages += 1
            if messages % 10 == 0:
                began = time.monotonic()
                assert ours.query(f"ns1.{ZONE}").answer
                slowest = max(slowest, time.monotonic() - began)
    assert messages > 50
    return slowest
