"""`migrate check`: how large an answer comes through over UDP, and up to which size that is proven at all.

    over TCP: what does the zone have that is large? ─▶ at each EDNS size the largest of it that fits, over UDP

A small answer proves nothing of a large size: that a path lets 90 octets through says nothing of 1,232. So each size
counts as proven only by an answer larger than the size before it, and where the zone has none that is told. What a
server cuts short, since it sends nothing so large over UDP (most stop at 1,232), need not come through.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import dns.exception
import dns.flags
import dns.name
from dns.rdatatype import DNSKEY, MX, NS, TXT, A

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.checks.check_step import Step

SIZES = (512, 1232, 4096)  # octets: of old, what fits into any packet (DNS flag day 2020), what many servers allow
LABEL = b"nameserver-check-edns"


def step_name(size: int) -> str:
    """The step of one size."""
    return f"EDNS {size}"


async def measure(asker: Asker, zone: dns.name.Name, endpoint: Endpoint) -> list[Step]:
    """One step for each size."""
    known = await _sizes(asker, zone, endpoint)
    steps = []
    below = 0
    for size in SIZES:
        steps.append(await _step(asker, endpoint, known, below, size))
        below = size
    return steps


async def _sizes(asker: Asker, zone: dns.name.Name, endpoint: Endpoint) -> dict[Question, int]:
    """What may be large, with the octets of its whole answer, by TCP; 0 where that did not tell."""
    questions = [Question(zone, rdtype, do=True) for rdtype in (DNSKEY, TXT, MX, NS)]
    questions.append(Question(_long_name(zone), A, do=True))
    outcomes = await asyncio.gather(*(asker.ask(question, endpoint, tcp=True) for question in questions))
    return {
        question: len(outcome.message.wire or b"") if isinstance(outcome, Reply) else 0
        for question, outcome in zip(questions, outcomes, strict=True)
    }


def _long_name(zone: dns.name.Name) -> dns.name.Name:
    """A name that is hardly there: that it is not takes much to say in a signed zone, and a question of 255 octets."""
    labels = [LABEL]
    left = 255 - len(zone.to_wire() or b"") - len(LABEL) - 1
    while left > 1:
        length = min(63, left - 1)
        labels.append(b"x" * length)
        left -= length + 1
    try:
        return dns.name.Name([*labels, *zone.labels])
    except dns.exception.DNSException:  # the zone's own name is nearly as long as one may be
        return zone


async def _step(asker: Asker, endpoint: Endpoint, known: Mapping[Question, int], below: int, size: int) -> Step:
    name = step_name(size)
    fitting = [question for question, octets in known.items() if octets <= size]
    question = max(fitting or known, key=lambda each: known[each])
    if not any(below < known[each] <= size for each in known):
        larger = [each for each in known if known[each] > size]
        question = min(
            larger, key=lambda each: known[each], default=question
        )  # whether it is cut short as it has to be
    outcome = await asker.ask(replace(question, size=size), endpoint, tcp=False)
    whole = f"the answer has {known[question]} octets over TCP: " if known[question] else ""
    if not isinstance(outcome, Reply):
        return Step(name, outcome.reason, f"{whole}{outcome.detail}", octets=known[question])
    if outcome.rcode == "FORMERR":
        return Step(name, Reason.FORMERR, "the server does not understand EDNS")
    got = len(outcome.message.wire or b"")
    if outcome.message.flags & dns.flags.TC:
        return Step(name, None, f"{whole}the server cuts it short, and TCP follows")
    if got <= below:
        return Step(name, None, f"{got} octets, and no larger answer is known", octets=got, unproven=True)
    return Step(name, None, f"{got} octets", octets=got)


def proven(steps: Sequence[Step]) -> int:
    """The largest answer that came whole over UDP, in octets."""
    names = {step_name(size) for size in SIZES}
    return max((step.octets for step in steps if step.name in names and step.reason is None), default=0)
