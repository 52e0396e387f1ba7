"""Taking large dicts apart."""

from collections.abc import Iterator, MutableMapping
from typing import TypeVar

AT_ONCE = 250  # entries: a twentieth of a millisecond

V = TypeVar("V")


def emptied(each: MutableMapping[bytes, V]) -> Iterator[None]:
    """Empties a dict, by a slice each time that it is asked on, and gives up its table at the end."""
    while each:
        for _ in range(min(AT_ONCE, len(each))):
            each.popitem()
        yield
    each.clear()
