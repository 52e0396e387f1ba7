"""A flood of random names with DO in a zone signed with NSEC3: three records prove each of the answers."""

from pathlib import Path

from bench import loads, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario


class Signed(Scenario):
    name = "signed"
    title = "random names over UDP with DO, all NXDOMAIN, 20k names signed, NSEC3"
    rows = (Row("cpu_us", "NXDOMAIN flood, NSEC3, DO: CPU per query", "µs", ("Knot",), 4.0, 2.0),)

    def prepare(self, lab: Lab) -> None:
        worlds.signed(lab)
        self._file(lab)

    def _file(self, lab: Lab) -> Path:
        names = queries.random_names(worlds.SIGNED, lab.sizes.queries, seed=4)
        return lab.file("random-signed-names", lambda path: queries.write_messages(path, names, dnssec=True))

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        with lab.ready(contestant, worlds.signed(lab)) as server:
            return loads.datagrams(server, self._file(lab), lab.sizes.seconds).figures()
