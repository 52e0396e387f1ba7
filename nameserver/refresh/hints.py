"""Whose NOTIFYs tell the truth: may a primary be asked for the version that they name without a look at its serial?

The serial in a NOTIFY is a hint that anybody can forge (RFC 1996 §3.7, §3.11), so nothing is believed of it. But where
thousands of zones change at a time, each question that need not be asked counts. So a primary whose hints have proved
true several times in a row is asked for the difference at once; the first one that does not ends this.

                          a hint proved true, the tenth in a row
    asked for its serial ────────────────────────────────────────▶ asked for the difference
             ▲                        a hint proved false                    │
             └───────────────────────────────────────────────────────────────┘

So whoever forges hints, and however many, gets one question more out of us for each ten that are true.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

TRUE_IN_A_ROW = 10

Primary = TypeVar("Primary", bound=Hashable)


class Hints(Generic[Primary]):
    """What is known of each primary's NOTIFYs, over all zones."""

    __slots__ = ("_true",)

    def __init__(self) -> None:
        self._true: dict[Primary, int] = {}  # in a row, up to as many as are needed

    def good(self, primary: Primary) -> bool:
        """Whether the next hint may be expected to be true."""
        return self._true.get(primary, 0) >= TRUE_IN_A_ROW

    def proved(self, primary: Primary, *, true: bool) -> None:
        """The primary was found to have the serial that a NOTIFY named, or a newer one; or not to."""
        if true:
            self._true[primary] = min(self._true.get(primary, 0) + 1, TRUE_IN_A_ROW)
        else:
            self._true.pop(primary, None)

    def keep(self, known: frozenset[Primary]) -> None:
        """Forget whoever is configured no more."""
        self._true = {primary: count for primary, count in self._true.items() if primary in known}
