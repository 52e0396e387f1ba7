"""One walk through the tree, and what bounds it, for whoever runs a zone decides where its names lead.

A delegation may name servers whose names have to be found first, by way of zones that do the same: thirteen names at
each of six steps are five million questions. So a walk has a number of questions and a time, goes no deeper than
`MAX_DEPTH` names that depend on one another, and looks at the first of many servers or addresses only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.name

from nameserver.errors import NameserverError

MAX_DEPTH = 6  # names of servers that have to be found before another can
MOST_QUESTIONS = 400  # of one walk; a long way down with servers of many zones takes some fifty
LONGEST = 60.0  # seconds of one walk …
LONGEST_IN_TRIES = 20  # … or, where each is given more time, as many tries without an answer
MOST_ENDLESS = 3  # walks without an end, after which no other is begun
MOST_SERVERS = 32  # of one zone that are looked at; thirteen fit into a referral of old
MOST_ADDRESSES = 16  # of one server that are asked


class NotFound(NameserverError):
    """Nobody on the way from the root answered, or the name is not there."""


class Endless(NotFound):
    """The way was given up: it takes more questions, or more time, than any that leads somewhere."""


CODE_ENDLESS = "endless"  # of the finding that tells of one
STEP_ENDLESS = "Whoever runs the zones on that way has to mend them; resolvers give up there too."
CODE_LEFT_OUT = "too-many"
STEP_LEFT_OUT = "No zone needs so many. What is said here holds for those that were asked."


@dataclass(slots=True)
class Budget:
    """What one walk for `name` may still ask. `until`: monotonic seconds. Shared by all its branches."""

    name: dns.name.Name
    until: float
    clock: Callable[[], float] = time.monotonic
    asked: int = 0

    def take(self, questions: int) -> None:
        """Before that many questions are asked. Raises Endless."""
        if self.asked + questions > MOST_QUESTIONS:
            text = f"given up after {self.asked} questions: servers there lead from one to the next without an end"
            raise Endless(f"{self.name}: {text}")
        if self.clock() >= self.until:
            text = f"given up after {self.asked} questions: the time for one name is up, servers on the way are silent"
            raise Endless(f"{self.name}: {text}")
        self.asked += questions


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk is. `via`: the servers' names that have to be found first, outermost first."""

    budget: Budget
    via: tuple[dns.name.Name, ...] = ()

    def into(self, name: dns.name.Name) -> "Walk":
        """The walk for a server's name that is needed on the way. Raises NotFound where it never comes to an end."""
        if name in self.via:
            circle = " → ".join(str(each) for each in (*self.via[self.via.index(name) :], name))
            raise NotFound(f"{name}: servers that are found only by way of one another: {circle}")
        if len(self.via) >= MAX_DEPTH:
            raise NotFound(f"{name}: servers that are found by way of one another, {MAX_DEPTH} deep")
        return Walk(self.budget, (*self.via, name))


@dataclass(slots=True)
class Bounds:
    """What holds for all walks of one run. `left_out`: sentences on what was too much to be looked at."""

    patience: float = LONGEST
    clock: Callable[[], float] = time.monotonic
    left_out: list[str] = field(default_factory=list)
    _endless: dict[dns.name.Name, Endless] = field(default_factory=dict)

    def begin(self, name: dns.name.Name) -> Walk:
        """A new walk. Raises Endless for a name that had no end before, and for any after too many of those."""
        if (before := self._endless.get(name)) is not None:
            raise before
        if len(self._endless) >= MOST_ENDLESS:
            raise Endless(f"{name}: not looked for, after {MOST_ENDLESS} others without an end")
        return Walk(Budget(name, self.clock() + self.patience, self.clock))

    def note(self, error: Endless, name: dns.name.Name) -> None:
        """Remember that a walk was given up."""
        self._endless.setdefault(name, error)

    def leave_out(self, whose: str, what: str, found: int, most: int) -> None:
        """Tell that more was found than is looked at."""
        text = f"{whose} has {found} {what}: only {most} of them were asked"
        if found > most and text not in self.left_out:
            self.left_out.append(text)
