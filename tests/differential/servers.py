"""The servers under comparison: Knot, NSD and BIND as secondaries, as they come but for what is in the way, and ours.

In the way are limits on refresh times, on transfers in parallel, on records of a type (BIND) and on queries a second
(NSD). What they answer is left to their defaults.
"""

import contextlib
from collections.abc import Iterator

from differential.draft import BIND, KNOT, NSD
from differential.primary import ZoneSource
from differential.worlds import World
from support import ask
from support.daemon import Nameserver
from support.secondaries import BindSecondary, KnotSecondary, NsdSecondary, Secondary
from support.wait import wait_for

OURS = "ours"
PEERS = (KNOT, NSD, BIND)


class Bind(BindSecondary):
    """BIND with RRsets and nodes of any size."""

    def configure(self) -> None:
        super().configure()
        path = self.directory / "named.conf"
        text = path.read_text()
        path.write_text(
            text.replace(
                "min-refresh-time 1;", "max-records-per-type 0; max-types-per-name 0;\n  min-refresh-time 1;"
            ).replace("max-refresh-time 2;", "")
        )


class Nsd(NsdSecondary):
    """NSD without its limit on queries a second."""

    def configure(self) -> None:
        super().configure()
        path = self.directory / "nsd.conf"
        path.write_text(
            path.read_text().replace(
                "  verbosity: 1\n", "  verbosity: 1\n  rrl-ratelimit: 0\n  xfrd-reload-timeout: 0\n"
            )
        )


class Knot(KnotSecondary):
    """Knot as it comes."""


KINDS: dict[str, type[Secondary]] = {KNOT: Knot, NSD: Nsd, BIND: Bind}


class Servers:
    """All of them with all of a world's zones. `ports` by server; `holding` are the zones' numbers, by server.

    `lost` are those that a peer was to hold and, for a fault of its own, does not.
    """

    def __init__(self, ports: dict[str, int], holding: dict[str, set[int]], lost: dict[str, set[int]]) -> None:
        self.ports = ports
        self.holding = holding
        self.lost = lost


@contextlib.contextmanager
def serving(world: World, peers: tuple[str, ...] = PEERS) -> Iterator[Servers]:
    """Start them, wait until each serves what it should, end them. AssertionError where ours does not."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(ZoneSource(world.zones))
        names = [zone.text for zone in world.zones]
        started: dict[str, Secondary | Nameserver] = {}
        for peer in peers:
            started[peer] = stack.enter_context(KINDS[peer](dict.fromkeys(names, source.port)))
            started[peer].start()
        ours = stack.enter_context(
            Nameserver(
                zones=names, primary_port=source.port, open_transfers=True, server={"minimal-responses": world.minimal}
            )
        )
        started[OURS] = ours.start(wait_ready=False)
        ports = {name: server.port for name, server in started.items()}
        holding = {
            name: {number for number, zone in enumerate(world.zones) if name not in zone.not_loaded_by}
            for name in ports
        }
        lost = {name: wait_until_served(name, server, world, holding[name]) for name, server in started.items()}
        yield Servers(ports, {name: holding[name] - lost[name] for name in ports}, lost)


def wait_until_served(name: str, server: Secondary | Nameserver, world: World, zones: set[int]) -> set[int]:
    """Wait until a server answers for these zones; those of a peer that it does not get to answer for.

    NSD 4.6.1 for one has zones that end its reload, each time anew, and with it that of every other zone.
    """
    left = set(zones)

    def all_there() -> bool:
        left.difference_update(
            number
            for number in sorted(left)
            if ask.serial(server.port, world.zones[number].origin.to_text(), timeout=0.5) is not None
        )
        return not left

    def explain() -> str:
        return f"{name} does not serve {[world.zones[number].text for number in left]}\n{server.explain()}"

    try:
        wait_for(all_there, 40, f"{name} to serve all zones", every=0.2, explain=explain)
    except AssertionError:
        if name == OURS:
            raise
    return left
