"""The uniform mix over TCP: ten connections with many questions in flight, and a connection for each question."""

from pathlib import Path

from bench import loads, queries, worlds
from bench.contestants import Contestant
from bench.lab import Lab
from bench.scenario import Figures, Row, Scenario


class Tcp(Scenario):
    name = "tcp"
    title = "the uniform mix over TCP: 10 connections, 100 questions in flight; one question per connection, 10 at once"
    rows = (
        Row("many_cpu_us", "TCP, many queries per connection: CPU per query", "µs", ("Knot",), 2.5, 1.3),
        Row("one_cpu_us", "TCP, one query per connection: CPU per query", "µs", ("Knot",), 2.5, 1.3),
    )

    def prepare(self, lab: Lab) -> None:
        worlds.mixed(lab)
        for seed in (1, 2):
            self._file(lab, seed)
        self._messages(lab)

    def _file(self, lab: Lab, seed: int) -> Path:
        sizes = lab.sizes
        mix = queries.mix(worlds.MIXED, sizes.records, sizes.queries, zipf=False, seed=seed)
        return lab.file(f"mix-False-{seed}", lambda path: queries.write(path, mix))

    def _messages(self, lab: Lab) -> Path:
        sizes = lab.sizes
        mix = queries.mix(worlds.MIXED, sizes.records, sizes.queries, zipf=False, seed=1)
        return lab.file("messages-False-1", lambda path: queries.write_messages(path, mix, seed=11))

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        with lab.ready(contestant, worlds.mixed(lab)) as server:
            loads.warm(loads.streams, lab, server, self._file(lab, 2))
            many = loads.streams(server, self._file(lab, 1), lab.sizes.seconds)
            one = loads.connections(server, self._messages(lab), lab.sizes.seconds)
        return many.figures("many") | one.figures("one")
