"""Which ways to primaries are silent, and who may try them: a dead primary shall cost its zones next to nothing.

A way is what the caller takes for one: an address with a transport. An exchange that fails by silence makes its way
silent, for a time. Meanwhile one asker at a time may try it; the others learn at once what was learnt before:

                       failed                            enter: go ahead, alone
    worth asking ──────────────────▶ silent, nobody tries ──────────▶ silent, somebody tries ──▶ enter: pass over
         ▲                              │           ▲                           │  │
         │      time is up, forget      │           └────────── left ───────────┘  │
         └──────────────────────────────┴────────────────── answered ──────────────┘

Nobody is kept away for good. Who was passed over, or got no connection, is remembered until the way answers; then
`answered` names them, and the caller runs them again at once. And each comes by on its own timer anyway, mostly finds
nobody trying, and tries.

An exchange that fails while another one over the same way is answered says nothing about the way: that primary has its
trouble with one zone. Who fails so is not run again out of turn, and neither is who was connected and then waited in
vain: else a zone that its primary cannot send would be asked for whenever that primary answers for another. Nor, after
a short silence, is who failed in it: a primary that refuses every other connection would be asked in circles.

No clock: times are seconds of one that never runs backwards.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from nameserver.errors import Reason
from nameserver.refresh.outcome import CLASS_OF, FailureClass

Way = TypeVar("Way", bound=Hashable)
Asker = TypeVar("Asker", bound=Hashable)

# Neither an answer that says no, nor a broken stream, nor a slow one: they come from somebody who is there.
SILENT_REASONS = frozenset(
    {reason for reason, kind in CLASS_OF.items() if kind is FailureClass.CONNECT} | {Reason.IDLE_TIMEOUT}
)
SHORT = 10.0  # seconds: after a silence of less, only those are run again who were passed over


class Silence(NamedTuple):
    """What is known of a silent way: since when nothing came over it, and why as of the last exchange."""

    reason: Reason
    detail: str
    since: float


@dataclass(slots=True)
class _Memory(Generic[Asker]):
    """A way that failed, until it answers. It is taken as silent up to `until`."""

    silence: Silence
    until: float
    trying: Asker | None = None
    waiting: dict[Asker, bool] = field(default_factory=dict)  # → whether it was passed over, or failed by itself


class Silences(Generic[Way, Asker]):
    """What all askers together know of all ways. An asker has at most one exchange over a way at a time."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds for which a way is taken as silent after its last failure; 0: never."""
        self._patience = patience
        self._memories: dict[Way, _Memory[Asker]] = {}
        self._heard: dict[Way, float] = {}  # the last sign of life

    @property
    def any(self) -> bool:
        """Whether some way failed that has not answered since."""
        return bool(self._memories)

    def of(self, way: Way, now: float) -> Silence | None:
        """The silence of a way; None while it is worth asking."""
        memory = self._memories.get(way)
        return memory.silence if memory is not None and now < memory.until else None

    def enter(self, way: Way, asker: Asker, now: float, *, elsewhere: bool = False) -> Silence | None:
        """Whether `asker` may begin an exchange: None, then `left` follows; else why it is to pass this way over.

        `elsewhere`: it can ask somebody else, so that it need not be the one who tries a silent way.
        """
        silence = self.of(way, now)
        if silence is None:
            return None
        memory = self._memories[way]
        if memory.trying is None and not elsewhere:
            memory.trying = asker
            return None
        memory.waiting[asker] = True
        return silence

    def answered(self, way: Way, asker: Asker, now: float) -> frozenset[Asker]:
        """Something came over this way; who failed to get through before, and is to be run again now."""
        self._heard[way] = now
        memory = self._memories.pop(way, None)
        if memory is None:
            return frozenset()
        short = now - memory.silence.since < SHORT
        return frozenset(each for each, passed in memory.waiting.items() if (passed or not short) and each != asker)

    def failed(self, way: Way, asker: Asker, silence: Silence, now: float) -> bool:
        """An exchange ended in silence; whether the way was not silent before.

        `silence.since`: when the exchange began, or when something came over it last. Only for `SILENT_REASONS`.
        """
        if self._patience <= 0 or self._heard.get(way, silence.since) > silence.since:
            return False
        new = self.of(way, now) is None
        memory = self._memories.setdefault(way, _Memory(silence, now))
        memory.silence, memory.until = silence._replace(since=memory.silence.since), now + self._patience
        if silence.reason is Reason.IDLE_TIMEOUT:
            memory.waiting.pop(asker, None)
        else:
            memory.waiting[asker] = False
        return new

    def left(self, way: Way, asker: Asker) -> None:
        """The exchange that `enter` let begin is over, however it ended."""
        memory = self._memories.get(way)
        if memory is not None and memory.trying == asker:
            memory.trying = None

    def forget(self, ways: Iterable[Way], now: float) -> None:
        """These are worth asking again: an operator says so, or a NOTIFY came from there.

        Who waits goes on waiting for an answer. An exchange that began before is not believed when it fails.
        """
        for way in ways:
            self._heard[way] = now
            memory = self._memories.get(way)
            if memory is not None:
                memory.until = now

    def keep(self, ways: Iterable[Way]) -> None:
        """Drop what is known of all ways but these: the others are not configured any more."""
        kept = frozenset(ways)
        self._memories = {way: memory for way, memory in self._memories.items() if way in kept}
        self._heard = {way: when for way, when in self._heard.items() if way in kept}
