"""How often each kind of answer was given without the pipeline, until that reaches the counters."""

from nameserver.query.counters import CounterArray
from nameserver.query.exchange import Repeatable

MOST_KINDS = 65_536

UNCOUNTED = 0  # the kind of what is counted elsewhere


class Tally:
    """Numbers for kinds of answers. The loop over received messages does `counts[number] += 1`, and nothing else."""

    def __init__(self) -> None:
        self.counts: list[int] = [0]
        self._kinds: list[Repeatable | None] = [None]
        self._numbers: dict[Repeatable, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is time to `forget`."""
        return len(self._kinds) > MOST_KINDS

    def number(self, kind: Repeatable) -> int:
        """The number of a kind, the same until all are forgotten."""
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
            self.counts.append(0)
        return number

    def kind(self, number: int) -> Repeatable | None:
        """The kind with this number; None for what is counted elsewhere."""
        return self._kinds[number]

    def count(self, counters: CounterArray) -> None:
        """Add what was answered since the last time to the counters, and to those of the zones."""
        counts = self.counts
        for number, answered in enumerate(counts):
            if not answered:
                continue
            counts[number] = 0
            kind = self._kinds[number]
            if kind is None:
                continue
            counters[kind.query_slot] += answered
            counters[kind.response_slot] += answered
            served = kind.dependence.served
            if served is not None and kind.control:
                served.control_queries += answered
            elif served is not None:
                served.queries += answered

    def forget(self) -> None:
        """Begin afresh, everything being counted. The same list stays: the loop may hold it."""
        self.counts[:] = [0]
        self._kinds[:] = [None]
        self._numbers.clear()
