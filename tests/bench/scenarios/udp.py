"""UDP, a zone of 100,000 records: 80 % hits, uniform and by Zipf's law, 10 % NXDOMAIN, referrals, wildcards."""

from pathlib import Path

from bench import loads, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario

LOADS = {"uniform": "uniform, plain", "uniform_do": "uniform, DO", "zipf": "Zipf, plain", "zipf_do": "Zipf, DO"}


class Udp(Scenario):
    name = "udp"
    title = "UDP mix on 100k RRs: 80 % hits, 10 % NXDOMAIN, 5 % referrals, 5 % wildcards"
    rows = tuple(
        row
        for load, text in LOADS.items()
        for row in (
            Row(f"{load}_cpu_us", f"UDP mix, {text}: CPU per query", "µs", ("Knot", "NSD"), 1.25, 1.0),
            Row(f"{load}_cpu_us", f"UDP mix, {text}: CPU per query", "µs", ("BIND",), 0.7, 0.5),
        )
    )

    def prepare(self, lab: Lab) -> None:
        worlds.mixed(lab)
        for load in LOADS:
            for seed in (1, 2):
                self._file(lab, load, seed)

    def _file(self, lab: Lab, load: str, seed: int) -> Path:
        sizes, dnssec = lab.sizes, load.endswith("_do")
        mix = queries.mix(worlds.MIXED, sizes.records, sizes.queries, zipf=load.startswith("zipf"), seed=seed)
        return lab.file(f"{load}-{seed}", lambda path: queries.write_messages(path, mix, edns=dnssec, dnssec=dnssec))

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        figures: Figures = {}
        with lab.ready(contestant, worlds.mixed(lab)) as server:
            for load in LOADS:
                loads.warm(loads.datagrams, lab, server, self._file(lab, load, 2))
                figures |= loads.datagrams(server, self._file(lab, load, 1), lab.sizes.seconds).figures(load)
        return figures
