"""Addresses that come and go under a running daemon, in a network of its own (F83)."""

import pytest
from support import netns
from support.netns import Network
from support.pair import Own, ask_udp, connect, frames, question, read_frame
from support.zones import small_zone_text

ZONE = "zone.example"
ASK = question(f"ns1.{ZONE}")
V4, V6, LATER = "10.9.9.1", "fd00::9", "10.9.9.2"

pytestmark = pytest.mark.skipif(bool(netns.why_not()), reason=netns.why_not() or "-")


def answers(port: int, address: str) -> bool:
    """Over UDP and TCP, from that address."""
    try:
        reply, source = ask_udp(address, port, ASK, 1.0)
        with connect(port, address, timeout=1.0) as connection:
            connection.sendall(frames(ASK))
            return bool(reply.answer) and source == address and bool(read_frame(connection))
    except (OSError, EOFError):
        return False


def test_addresses_that_go_cost_the_others_nothing_and_are_served_again_when_they_come_back() -> None:
    with Own() as ours:
        ours.listen = [f"127.0.0.1:{ours.port}", f"{V4}:{ours.port}", f"[{V6}]:{ours.port}", f"{LATER}:{ours.port}"]
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        ours.launcher = netns.launcher(f"{V4}/32", f"{V6}/128")
        ours.start()
        network = Network(ours.child.pid)

        def served() -> dict[str, bool]:
            return network.call(lambda: {each: answers(ours.port, each) for each in ("127.0.0.1", V4, V6, LATER)})

        def become(**wanted: bool) -> None:
            expected = {"127.0.0.1": True, V4: wanted["v4"], V6: wanted["v6"], LATER: wanted["later"]}
            ours.wait(lambda: served() == expected, what=f"{wanted}; now {served()}")

        become(v4=True, v6=True, later=False)
        assert f"no interface has the address of {LATER}:{ours.port}" in ours.log
        network.run(f"ip addr del {V4}/32 dev lo && ip addr add {LATER}/32 dev lo")
        become(v4=False, v6=True, later=True)
        network.run(f"ip addr add {V4}/32 dev lo && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        become(v4=True, v6=False, later=True)
        network.run(f"echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && ip addr add {V6}/128 dev lo nodad")
        become(v4=True, v6=True, later=True)
        ours.stop()


def test_without_ipv6_the_daemon_starts_and_serves_ipv4() -> None:
    with Own() as ours:
        ours.listen = [f"0.0.0.0:{ours.port}", f"[::]:{ours.port}"]
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        switch_off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
        ours.launcher = ["unshare", "-n", "sh", "-c", f'{switch_off}; ip link set lo up && exec "$@"', "sh"]
        ours.start()
        assert Network(ours.child.pid).call(lambda: answers(ours.port, "127.0.0.1"))
        assert "no IPv6" in ours.log
        ours.stop()
