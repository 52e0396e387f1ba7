"""A parser that takes options and what is no option in any order, as operators write them.

argparse alone takes the servers of `serials ZONE [@SERVER …]` for missing as soon as an option stands before them, and
lets an option of several values swallow the ZONE behind it.
"""

import argparse
from collections.abc import Sequence
from typing import Any

_SEVERAL = ("+", "*")


class AnyOrder(argparse.ArgumentParser):
    """Puts the words that belong to no option first; those of each kind keep their order.

    `in_order`: as argparse does it, for a parser whose verbs have their own words.
    """

    in_order = False

    # The types are those of argparse's own overloads, which say no more of what passes through here.
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """As of argparse."""
        sort = args is not None and not self.in_order
        return super().parse_known_args(self._sorted(args) if sort else args, namespace)

    def _sorted(self, words: Sequence[str]) -> list[str]:
        plain: list[str] = []
        options: list[list[str]] = []  # each with its values
        swallowing: list[list[str]] = []  # those that took more than one because it came
        at, stop = 0, words.index("--") if "--" in words else len(words)
        while at < stop:
            if not _is_option(words[at]):
                plain.append(words[at])
                at += 1
                continue
            end = self._end(words, at, stop)
            options.append(list(words[at:end]))
            if end - at > 2:
                swallowing.append(options[-1])
            at = end
        missing = self._required() - len(plain) - len(words[stop + 1 :])
        # What is missing is the last of the values that end the line, or of the only ones that it can be.
        if missing > 0 and swallowing and (len(swallowing) == 1 or swallowing[-1] is options[-1]):
            took = swallowing[-1]
            cut = max(2, len(took) - missing)
            plain += took[cut:]
            del took[cut:]
        return [*plain, *(word for each in options for word in each), *words[stop:]]

    def _end(self, words: Sequence[str], at: int, stop: int) -> int:
        """Where an option's values end; those that are joined to it (`--port=53`) are in its own word."""
        action = self._option_string_actions.get(words[at])
        end = at + 1
        if action is None or action.nargs == 0:
            return end
        most = stop if action.nargs in _SEVERAL else end + 1
        while end < min(most, stop) and not _is_option(words[end]):
            end += 1
        return end

    def _required(self) -> int:
        return sum(action.nargs is None for action in self._actions if not action.option_strings)


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1
