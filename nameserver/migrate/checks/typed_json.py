"""The files of a move are read with nothing in them taken on trust: they are edited and merged by hand."""

from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


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
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)
