"""Names in random case and a fresh cookie in every question, against the same questions without; the uniform mix."""

from pathlib import Path

from bench import loads, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario


class OddClients(Scenario):
    name = "odd-clients"
    title = "the uniform UDP mix with EDNS; the same with random case and a new client cookie in every question"
    rows = (
        Row("ratio", "random case and fresh cookies: CPU per query over the same without", "times", (), 1.5, 1.2),
        Row("odd_cpu_us", "random case and fresh cookies: CPU per query", "µs", ("Knot",)),
    )

    def prepare(self, lab: Lab) -> None:
        worlds.mixed(lab)
        for odd in (False, True):
            for seed in (1, 2):
                self._file(lab, odd=odd, seed=seed)

    def _file(self, lab: Lab, *, odd: bool, seed: int) -> Path:
        sizes = lab.sizes
        mix = queries.mix(worlds.MIXED, sizes.records, sizes.queries, zipf=False, seed=seed)
        return lab.file(
            f"messages-{odd}-{seed}", lambda path: queries.write_messages(path, mix, odd=odd, seed=seed + 10)
        )

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        figures: Figures = {}
        with lab.ready(contestant, worlds.mixed(lab)) as server:
            for load, odd in (("plain", False), ("odd", True)):
                loads.warm(loads.datagrams, lab, server, self._file(lab, odd=odd, seed=2))
                found = loads.datagrams(server, self._file(lab, odd=odd, seed=1), lab.sizes.seconds)
                figures |= found.figures(load)
        return figures | {"ratio": figures["odd_cpu_us"] / figures["plain_cpu_us"]}
