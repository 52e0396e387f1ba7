"""The shape all scenarios have: what is prepared once, what is done with one server, which figures come of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.contestants import OURS

if TYPE_CHECKING:
    from bench.contestants import Contestant
    from bench.lab import Lab

# Whom a scenario leaves out, and why.
DATABASE = {"PowerDNS": "its zones are in a database, which such a zone takes a minute to get into"}
NO_HISTORY = {"PowerDNS": "it takes zones in whole, unless told otherwise zone by zone"}

Figures = dict[str, Any]  # numbers by name, of one server in one round; "…answers" are counts of RCODEs
Rounds = Mapping[str, Sequence[Figures]]  # by server, one for each round


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure of each server, and ours over that of the best of `against` in the same round.

    With nobody in `against` the figure is a ratio itself. `at_least` and `aim` are what ours is to be below.
    """

    figure: str
    text: str
    unit: str
    against: tuple[str, ...] = ()
    at_least: float = math.nan
    aim: float = math.nan

    def middle(self, rounds: Sequence[Figures]) -> float:
        """The median over the rounds; not a number where it was not measured."""
        values = [each[self.figure] for each in rounds if each.get(self.figure) is not None]
        return median(values) if values else math.nan

    def ratio(self, found: Rounds) -> float:
        """The median of the ratios within each round."""
        ours = found.get(OURS, ())
        if not self.against:
            return self.middle(ours)
        ratios = []
        for number, figures in enumerate(ours):
            theirs = [
                found[name][number].get(self.figure) for name in self.against if len(found.get(name, ())) > number
            ]
            known = [value for value in theirs if value]
            if known and figures.get(self.figure) is not None:
                ratios.append(figures[self.figure] / min(known))
        return median(ratios) if ratios else math.nan


class Scenario:
    """One of the loads. `slow` are the servers that are left out unless they are asked for by name, and why."""

    name = ""
    title = ""  # what is done, in a line
    rows: tuple[Row, ...] = ()
    slow: Mapping[str, str] = {}

    def prepare(self, lab: Lab) -> None:
        """Zones, primaries and files of queries, once before all rounds."""

    def run(self, lab: Lab, contestant: Contestant) -> Figures:
        """One round of one server, which is started for it and gone afterwards."""
        raise NotImplementedError
