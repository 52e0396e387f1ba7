"""The files of a move are read with nothing in them taken on trust: they are edited and merged by hand."""

import json
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
LARGEST = 2.0**53  # of numbers that are held as they are written


def read_json(text: str | bytes) -> object:
    """The value of a JSON text. Raises ValueError, also for one that is nested too deep to be read."""
    try:
        value: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return value


def filled(kind: type[T], values: object) -> T:
    """A dataclass from the values of a JSON object. Raises ValueError for one that is of another type, TypeError for
    one that is missing or unknown.
    """
    if not isinstance(values, dict):
        raise ValueError("it holds no object")
    for name, hint in get_type_hints(kind).items():
        if name in values and not _is(values[name], hint):
            raise ValueError(f"{name} is {values[name]!r:.60}")
    return kind(**values)


def _is(value: object, hint: object) -> bool:
    if hint is Any:
        return True
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_is(each, get_args(hint)[0]) for each in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_is(each, get_args(hint)[1]) for each in value.values())
    if hint in (int, float):  # in JSON both are numbers, and a truth value is none
        if isinstance(value, bool) or not isinstance(value, int if hint is int else int | float):
            return False
        return abs(value) <= LARGEST  # which NaN is not: no time is before it, so that a wait of NaN seconds were over
    return isinstance(hint, type) and isinstance(value, hint)
