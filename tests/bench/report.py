"""Figures to the table, and what is wrong with them."""

import math
from collections.abc import Mapping, Sequence

from bench.loads import LOST
from bench.scenario import Figures, Rounds, Row, Scenario
from support.tables import number

SAME = 0.003  # shares of an RCODE may differ by so much between servers, and by chance


def table(found: Mapping[Scenario, Rounds], servers: Sequence[str]) -> str:
    """Markdown: a line for each row of each scenario."""
    lines = [["what", "unit", *servers, "ratio", "against", "at least; aim"]]
    lines.append(["---"] * len(lines[0]))
    for scenario, rounds in found.items():
        for row in scenario.rows:
            cells = [number(row.middle(rounds.get(server, ()))) for server in servers]
            lines.append([row.text, row.unit, *cells, verdict(row, rounds), " or ".join(row.against), bars(row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(row: Row, rounds: Rounds) -> str:
    """The ratio, in bold where it misses the mark."""
    ratio = row.ratio(rounds)
    if math.isnan(ratio):
        return "-"
    return f"**{number(ratio)}**" if ratio > row.at_least else number(ratio)


def bars(row: Row) -> str:
    return "" if math.isnan(row.at_least) else f"{row.at_least:g}; {row.aim:g}"


def doubts(found: Mapping[Scenario, Rounds]) -> list[str]:
    """What keeps figures from being compared: answers that are not those of the other servers, or that did not come."""
    said = []
    for scenario, rounds in found.items():
        usual: Figures = {}
        for server, each in rounds.items():
            for figures in each:
                if "failed" in figures:
                    said.append(f"{scenario.name}: {server} failed: {figures['failed'].splitlines()[0]}")
                for name, value in figures.items():
                    if name.endswith("lost") and value is not None and value > LOST:
                        said.append(f"{scenario.name}: {server} left {value:.1%} unanswered ({name})")
                    if name.endswith("answers") and not _alike(value, usual.setdefault(name, value)):
                        said.append(f"{scenario.name}: {server} answered {value}, others {usual[name]}")
    return said


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether shares are the same; who answers less has come less far in the file, where shares are of a sample."""
    total, others = sum(one.values()), sum(other.values())
    room = SAME + 3 / math.sqrt(min(total, others))
    return all(abs(one.get(rcode, 0) / total - other.get(rcode, 0) / others) <= room for rcode in {*one, *other})
