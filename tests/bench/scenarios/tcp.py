"""The uniform mix over TCP: ten connections with many questions in flight, and a connection for each question."""

from pathlib import Path

from bench import dnsperf, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario

LOADS = {
    "many": ["-m", "tcp", "-c", "10", "-q", "100"],
    "one": ["-m", "tcp", "-c", "10", "-q", "10", "-O", "num-queries-per-conn=1"],
}


class Tcp(Scenario):
    name = "tcp"
    title = "the uniform mix over TCP: 10 connections, 100 questions in flight; one question per connection, 10 at once"
    rows = (
        Row("many_cpu_us", "TCP, many queries per connection: CPU per query", "µs", ("Knot",), 2.5, 1.3),
        Row("one_cpu_us", "TCP, one query per connection: CPU per query", "µs", ("Knot",), 2.5, 1.3),
    )

    def prepare(self, lab: Lab) -> None:
        worlds.mixed(lab)
        self._file(lab, 1)
        self._file(lab, 2)

    def _file(self, lab: Lab, seed: int) -> Path:
        sizes = lab.sizes
        mix = queries.mix(worlds.MIXED, sizes.records, sizes.queries, zipf=False, seed=seed)
        return lab.file(f"mix-False-{seed}", lambda path: queries.write(path, mix))

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        figures: Figures = {}
        with lab.ready(contestant, worlds.mixed(lab)) as server:
            for load, options in LOADS.items():
                dnsperf.warm(server, self._file(lab, 2), *options)
                figures |= dnsperf.run(server, self._file(lab, 1), lab.sizes.seconds, *options).figures(load)
        return figures
