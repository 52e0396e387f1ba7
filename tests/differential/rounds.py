"""One run: worlds, one after another, each served by everybody, asked, compared."""

from collections.abc import Iterator

from differential import own_rules
from differential.compare import Case, Difference, Served, Verdict, judge, make_case
from differential.exchange import ask_all
from differential.findings import Tally
from differential.questions import Question, questions
from differential.seen import SILENCE, Broken
from differential.servers import OURS, PEERS, Servers, serving
from differential.worlds import ZONES_PER_WORLD, World, make_world

BATCH = 20_000  # questions that are asked before their replies are compared: of each, the last wait for the silent


def run(seed: int, zones: int, queries: int, differences: tuple[Difference, ...], signed: bool) -> Tally:
    """Compare `queries` answers over `zones` zones."""
    tally = Tally()
    each = -(-queries // zones)
    for number, count in enumerate(sizes(zones)):
        world = make_world(seed, number, count, signed)
        with serving(world) as servers:
            asked = [question for index in range(count) for question in questions(world, index, each)]
            for verdict in compare(world, servers, asked, differences):
                tally.add(verdict)
            for name, lost in servers.lost.items():
                tally.lost[name] += len(lost)
        tally.zones += count
    return tally


def run_case(seed: int, zones: int, label: str, differences: tuple[Difference, ...], signed: bool) -> Verdict:
    """Ask one question again; `label` is `world/zone/number`."""
    number, index, place = (int(part) for part in label.split("/"))
    world = make_world(seed, number, list(sizes(zones))[number], signed)
    question = list(questions(world, index, place + 1))[place]
    with serving(world) as servers:
        return next(compare(world, servers, [question], differences))


def sizes(zones: int) -> Iterator[int]:
    """How many zones each world has."""
    while zones > 0:
        yield min(zones, ZONES_PER_WORLD)
        zones -= ZONES_PER_WORLD


def compare(
    world: World, servers: Servers, asked: list[Question], differences: tuple[Difference, ...]
) -> Iterator[Verdict]:
    """Ask everybody, judge our replies."""
    served = Served(world)
    contents = own_rules.Contents.of(served)
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        replies = ask_all(servers.ports, batch)
        again = ask_all({OURS: servers.ports[OURS]}, batch)[OURS]  # what was answered before may now be kept
        for place, question in enumerate(batch):
            wires = {name: replies[name][place] for name in (*PEERS, OURS) if name in replies}
            try:
                case = make_case(question, wires, OURS, servers.holding, served)
            except Broken as problem:
                yield Verdict(Case(question, SILENCE, {}, served, wires), [], [], [f"unreadable: {problem}"])
                continue
            verdict = judge(case, differences)
            wire = wires[OURS]
            if wire is not None:
                verdict.faults = own_rules.faults(case, wire, contents) + own_rules.repeated(wire, again[place])
            yield verdict
