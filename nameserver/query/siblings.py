"""Names with one parent, which all get the same answer but for their own label: a referral, or what a wildcard holds.

    message without id    header  length │ label │ parent's labels  apex  type class OPT
                          ── before ────             ─────────────── after ─────────────
    answer                head     (the question as asked)   records

For a name two labels or more below its apex every name between has to be looked at. Once such an answer was composed in
full, a sibling whose label is as long gets this one around its own question: whatever in it depends on the question's
length is the same, whether it has room too. It has to be of the version served (`view`); the label must be none that
the answer points to (`taken`); and a name that a wildcard may stand for must not be there itself. Nothing points into a
question that is not all in lower case: such ones have answers of their own.
"""

from typing import NamedTuple

from nameserver.query.views import HEADER, View

MOST_OCTETS = 8 * 1024 * 1024  # of all that is kept
BESIDE = 400  # octets of memory that an answer takes besides its records and what it is found by

_BEFORE = slice(HEADER + 1)


class Sibling(NamedTuple):
    """What siblings get. `parent` is the key of a wildcard's parent, None for a referral."""

    view: View
    parent: bytes | None
    taken: frozenset[bytes]
    head: bytes  # flags and counts
    records: bytes  # what follows the question
    kind: int


class Siblings:
    """The answers kept, for questions all in lower case or for all others."""

    def __init__(self) -> None:
        self._answers: dict[bytes, dict[bytes, Sibling]] = {}  # by what is before the label, by what is after it
        self._octets = 0

    def find(self, asked: bytes, label: bytes, after: bytes, epoch: int) -> tuple[bytes, int] | None:
        """The answer to a message and the number of its kind; its first label, and what follows, in lower case."""
        answers = self._answers.get(asked[_BEFORE])
        held = None if answers is None else answers.get(after)
        if held is None:
            return None
        view, parent, taken, head, records, kind = held
        if view.epoch != epoch or label in taken or not asked.endswith(view.rest):
            return None
        if parent is not None and ((key := label + parent) in view.nodes or key in view.descendants):
            return None
        return b"".join((head, asked[view.question], records)), kind

    def keep(self, asked: bytes, answer: Sibling) -> None:
        """Keep what the siblings of a message's name get; in any spelling.

        Only where what follows the name has no octets that are capital letters, as those of the type HTTPS: a message
        would be taken for one whose name is not in lower case for them.
        """
        if (rest := answer.view.rest) != rest.lower():
            return
        before, after = asked[_BEFORE], asked[HEADER + 1 + asked[HEADER] :].lower()
        held = self._answers.get(before, {}).get(after)
        if held is not None:
            self._octets -= _size(after, held)
        if self._octets + _size(after, answer) > MOST_OCTETS:
            self.forget()
        self._octets += _size(after, answer)
        self._answers.setdefault(before, {})[after] = answer

    def forget(self) -> None:
        """Begin afresh."""
        self._answers.clear()
        self._octets = 0


def _size(after: bytes, answer: Sibling) -> int:
    """What an answer kept takes, in octets."""
    return len(after) + len(answer.records) + BESIDE
