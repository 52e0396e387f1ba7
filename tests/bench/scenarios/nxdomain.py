"""A flood of random names in an unsigned zone: no two questions are alike, all answers are NXDOMAIN."""

from pathlib import Path

from bench import loads, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario

AS_MANY = 3  # times the other files' questions, so that none comes twice


class Nxdomain(Scenario):
    name = "nxdomain"
    title = "random names over UDP, all NXDOMAIN, 100k RRs"
    rows = (Row("cpu_us", "NXDOMAIN flood of random names: CPU per query", "µs", ("Knot",), 2.0, 1.3),)

    def prepare(self, lab: Lab) -> None:
        worlds.mixed(lab)
        self._file(lab)

    def _file(self, lab: Lab) -> Path:
        names = queries.random_names(worlds.MIXED, AS_MANY * lab.sizes.queries, seed=3)
        return lab.file("random-names", lambda path: queries.write_messages(path, names, edns=False))

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        with lab.ready(contestant, worlds.mixed(lab)) as server:
            return loads.datagrams(server, self._file(lab), lab.sizes.seconds).figures()
