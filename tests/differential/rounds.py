"""One run: worlds, one after another, each served by everybody, asked, compared."""

from collections.abc import Iterator

from differential import own_rules
from differential.compare import Case, Difference, Served, Verdict, judge, make_case
from differential.exchange import LONG_PATIENCE, PATIENCE, ask_all
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
    """Ask everybody, judge our replies. What looks wrong and lacks a reply is asked again, with more patience."""
    served = Served(world)
    contents = own_rules.Contents.of(served)
    for start in range(0, len(asked), BATCH):
        batch, late = asked[start : start + BATCH], list[Question]()
        for verdict, complete in _compare(servers, batch, differences, served, contents, PATIENCE):
            if verdict.good or complete:
                yield verdict
            else:
                late.append(verdict.case.question)
        if late:
            for verdict, _ in _compare(servers, late, differences, served, contents, LONG_PATIENCE):
                yield verdict


def _compare(
    servers: Servers,
    asked: list[Question],
    differences: tuple[Difference, ...],
    served: Served,
    contents: own_rules.Contents,
    patience: float,
) -> Iterator[tuple[Verdict, bool]]:
    """The verdict on each question, and whether everybody replied to it."""
    replies = ask_all(servers.ports, asked, patience)
    again = ask_all({OURS: servers.ports[OURS]}, asked, patience)[OURS]  # what was answered before may now be kept
    for place, question in enumerate(asked):
        wires = {name: replies[name][place] for name in (*PEERS, OURS) if name in replies}
        complete = again[place] is not None and None not in wires.values()
        try:
            case = make_case(question, wires, OURS, servers.holding, served)
        except Broken as problem:
            yield Verdict(Case(question, SILENCE, {}, served, wires), [], [], [f"unreadable: {problem}"]), complete
            continue
        verdict = judge(case, differences)
        wire = wires[OURS]
        if wire is not None:
            verdict.faults = own_rules.faults(case, wire, contents) + own_rules.repeated(wire, again[place])
        yield verdict, complete
