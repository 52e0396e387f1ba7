"""Answers without the pipeline: what was answered before, and what a look into the packed nodes is enough for.

`query.pipeline` is the one place that says what an answer is. This module only saves it work, in three steps, each of
which gives exactly the octets that the pipeline would give, or nothing:

    message ──▶ 1  the same octets, but for the id, were answered before, and that was kept  ──▶ it
            ──▶ 2  an ordinary question, answered by a look at the packed nodes (`query.composer`)
            ──▶ 3  the pipeline answered the question in another spelling  ──▶ that answer's records
            ──▶ the pipeline; what it says is learnt for all three steps

What an answer depends on (`Depends`) decides how long it is good. Every change that a worker takes in gets the next
number of `ZoneSet.epoch`; an answer carries the number it was made under. Where that is the present one, it is good:
one comparison. Else the zone is asked whether what the answer depends on has changed since.

Step 1 compares octets as they are, so whatever a message holds (options, flags, sizes), two cannot be confused. A
message is kept there when it comes the second time within some ten thousand, so that a flood of made-up names pushes
nothing out; at once where the pipeline was needed to answer for a name that is there, of which there are only so many.
Answers kept are bounded in number and octets; the one kept longest makes room. Of what step 2 answers only the popular
is kept, as much as a processor has near, and a sample tells what that is (`keep`): to make an answer anew costs hardly
more than to find it among a hundred thousand.

Step 3 is for names that are not all in lower case: nothing in such an answer but an owner made from the name points
into it (see `query.composer`), so what follows the question fits every other spelling too.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from nameserver.query.composer import Composed, Composer
from nameserver.query.exchange import Outcome
from nameserver.query.pipeline import Pipeline
from nameserver.query.tally import Tally
from nameserver.query.zoneset import Depends, ServedZone
from nameserver.wire.names import skip_name

LONGEST_ASKED = 512  # octets of a message that has a shortcut: what is in longer ones is for the pipeline
MOST_ANSWERS = 131_072
MOST_OCTETS = 32 * 1024 * 1024  # of all answers kept by step 1 and their messages
MOST_POPULAR = 8192  # of these, such as were composed: as many as a processor has near
LONGEST_POPULAR = 1232  # octets of such an answer
MOST_SPELLED = 65_536  # answers kept by step 3
MOST_SPELLED_OCTETS = 16 * 1024 * 1024  # of these and their messages
DOORS = 1 << 14  # places in the table of messages that came once

# An answer of step 1: epoch, address of the body, its length, number of its kind, the body. The body is the reply
# without its first two octets, the id.
Entry = tuple[int, int, int, int, bytes]

_HEADER = 10  # octets of a message without its id before the question


class Spelled(NamedTuple):
    """Step 3: a message and the reply to it, both around the question's name."""

    epoch: int
    header: bytes
    name_end: int
    rest: bytes  # of the message: what follows the name
    head: bytes  # flags and counts
    records: bytes  # of the reply: what follows the question
    kind: int


class Shortcut:
    """The steps, for one transport ("udp" or "tcp") and one address family (4 or 6).

    `entries` and `tally` are there for the loop over received messages to use directly: an entry whose epoch is
    `zones.epoch` is the answer, and is counted by `tally.counts[kind] += 1`. Whatever it does not find so it asks of
    `find`, then of the pipeline, whose outcome it shows to `learn`. Messages and answers are without their first two
    octets, the id. `locate` gives the address in memory of the octets of a bytes object, for senders that need it. With
    `cookie`, messages end in a COOKIE option without its octets, and so do answers (`nameserver.query.cookies`).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        transport: str,
        family: int,
        locate: Callable[[bytes], int],
        tally: Tally,
        *,
        cookie: bool = False,
    ) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.tally = tally
        self.zones = pipeline.zones
        self.pipeline = pipeline
        self._locate = locate
        # Answers no longer kept, which may be on their way; the loop clears it after sending.
        self.spent: list[Entry] = []
        self._order: deque[bytes] = deque()  # the keys of `entries` that the pipeline answered, in the order they came
        self._popular: deque[bytes] = deque()  # all others of these
        self._octets = 0
        self._doors = bytearray()  # made when the first message comes: a server may never be asked over some transport
        self._spelled: dict[bytes, Spelled] = {}  # by message in lower case
        self._spelled_octets = 0
        self._composer = Composer(pipeline, transport, family, tally, cookie=cookie)
        self.compose = self._composer.compose

    # --- finding -----------------------------------------------------------------------------------------------------

    def find(self, asked: bytes) -> Entry | None:
        """The answer to a message, to be counted as its kind; None where the pipeline has to be asked."""
        epoch = self.zones.epoch
        self._composer.wanted = None
        entry = self.entries.get(asked)
        if entry is not None:
            if entry[0] == epoch:
                return entry
            if self._is_good(entry[0], entry[3], asked):
                entry = (epoch, *entry[1:])
                self.entries[asked] = entry
                return entry
        found = self.compose(asked)
        if found is None:
            return self._respell(asked)
        body, kind = found
        return epoch, self._locate(body), len(body), kind, body

    def _respell(self, asked: bytes) -> Entry | None:
        """Step 3."""
        folded = asked.lower()  # also what are no letters
        held = self._spelled.get(folded)
        if held is None or not asked.endswith(held.rest) or not asked.startswith(held.header):
            return None
        name_end = held.name_end
        if asked[_HEADER:name_end] == folded[_HEADER:name_end]:
            return None
        epoch = self.zones.epoch
        if held.epoch != epoch:
            if not self._is_good(held.epoch, held.kind, asked):
                return None
            self._spelled[folded] = held._replace(epoch=epoch)
        body = held.head + asked[_HEADER : name_end + 4] + held.records
        return epoch, self._locate(body), len(body), held.kind, body

    def allows(self, entry: Entry, asked: bytes, address: IPv4Address | IPv6Address, now: int) -> bool:
        """Whether rate limits let an answer found go to this address; if not, the pipeline says what becomes of it."""
        limiter, kind = self.pipeline.limiter, self.tally.kind(entry[3])
        if limiter is None or kind is None:
            return True
        name = kind.told_under
        if name is None:
            name = asked[_HEADER : name_end(asked)].lower()
        return limiter.allows(address, kind.told, name, now)

    def _is_good(self, made: int, number: int, asked: bytes) -> bool:
        """Whether an answer to a message that was made under an earlier epoch still holds."""
        kind = self.tally.kind(number)
        if kind is None or made < self.zones.rearranged or kind.dependence.depends is Depends.ALL:
            return False
        dependence = kind.dependence
        served = dependence.served
        if served is None:
            return False
        if dependence.depends is Depends.ZONE or served.replaced > made:
            return served.changed <= made
        name = asked[_HEADER : name_end(asked)].lower()
        return served.touched.get(name[: len(name) - len(served.name)], 0) <= made

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, asked: bytes, outcome: Outcome) -> None:
        """Keep what the pipeline said to a message for which `find` had nothing; call it right after that."""
        repeatable, reply = outcome.repeatable, outcome.reply
        wanted, self._composer.wanted = self._composer.wanted, None
        if repeatable is None or reply is None or outcome.cookie or len(asked) > LONGEST_ASKED:
            return
        number = self.tally.number(repeatable)
        end = name_end(asked)
        if wanted is not None:
            self._composer.learn(wanted, reply, end + 6, number)
            return
        question = asked[_HEADER:end]
        name = question.lower()
        if name == question:
            body = reply[2:]
            entry = (self.zones.epoch, self._locate(body), len(body), number, body)
            self._keep(asked, entry, at_once=_is_there(repeatable.dependence.served, name))
        elif repeatable.dependence.any_spelling:
            self._keep_spelled(asked, end, reply[2:], number)

    def keep(self, asked: bytes, answer: Composed) -> None:
        """Keep an answer that was composed, should its message be a popular one: what is kept is given at once.

        Told of one in some answers, it finds those that come again while some ten thousand others come.
        """
        body, kind = answer
        if len(body) > LONGEST_POPULAR:
            return
        if self._put(asked, (self.zones.epoch, self._locate(body), len(body), kind, body), at_once=False):
            self._popular.append(asked)
            if len(self._popular) > MOST_POPULAR:
                self._give_up(self._popular.popleft())

    def _keep_spelled(self, asked: bytes, name_end: int, body: bytes, kind: int) -> None:
        """Keep an answer for step 3."""
        self._spelled_octets += len(asked) + len(body)
        if len(self._spelled) >= MOST_SPELLED or self._spelled_octets > MOST_SPELLED_OCTETS:
            self._spelled.clear()
            self._spelled_octets = 0
        header, rest, records = asked[:_HEADER], asked[name_end:], body[name_end + 4 :]
        self._spelled[asked.lower()] = Spelled(self.zones.epoch, header, name_end, rest, body[:_HEADER], records, kind)

    def _keep(self, asked: bytes, entry: Entry, *, at_once: bool) -> None:
        """Keep an answer of the pipeline's."""
        if self._put(asked, entry, at_once=at_once):
            self._order.append(asked)
            while self._order and (len(self.entries) > MOST_ANSWERS or self._octets > MOST_OCTETS):
                self._give_up(self._order.popleft())

    def _put(self, asked: bytes, entry: Entry, *, at_once: bool) -> bool:
        """Keep an answer `at_once`, or if its message came before, to our knowledge. Whether that is one more."""
        held = self.entries.get(asked)
        if held is not None:
            self._octets += entry[2] - held[2]
            self.spent.append(held)
            self.entries[asked] = entry
            return False
        if not at_once and not self._came_before(asked):
            return False
        self.entries[asked] = entry
        self._octets += len(asked) + entry[2]
        return True

    def _came_before(self, asked: bytes) -> bool:
        """Whether a message has come before, to our knowledge, which from now on says so."""
        if not self._doors:
            self._doors = bytearray(DOORS)
        number = hash(asked)
        place, mark = number & (DOORS - 1), number >> 20 & 0xFF | 1
        if self._doors[place] == mark:
            return True
        self._doors[place] = mark
        return False

    def _give_up(self, asked: bytes) -> None:
        """Keep an answer no more."""
        gone = self.entries.pop(asked)
        self._octets -= len(asked) + gone[2]
        self.spent.append(gone)

    def forget(self) -> None:
        """Begin afresh, as the tally does; zones that are gone are not held on to. Nothing may be on its way."""
        self._octets = 0
        # The same objects stay: the loop over messages may hold them.
        self.entries.clear()
        self.spent.clear()
        self._order.clear()
        self._popular.clear()
        self._spelled.clear()
        self._spelled_octets = 0
        self._composer.forget()


def name_end(asked: bytes) -> int:
    """Where the question's name ends, of a message that was parsed. A label may hold a zero."""
    return skip_name(asked, _HEADER)


def _is_there(served: ServedZone | None, name: bytes) -> bool:
    """Whether the zone has records at this name."""
    return served is not None and served.zone is not None and name[: len(name) - len(served.name)] in served.zone.nodes
