"""Property tests with more examples than they ask for: NAMESERVER_EXAMPLES=20 gives each twenty times as many."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings

TIMES = float(os.environ.get("NAMESERVER_EXAMPLES", "1"))
_OF_FUNCTION = "_hypothesis_internal_use_settings"  # there is no public name for it


def give_more(items: Iterable[pytest.Item], times: float = TIMES) -> None:
    """Raise the number of examples of these tests, those of state machines included."""
    holders: dict[int, tuple[Any, str]] = {}
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if isinstance(getattr(item.cls, "settings", None), settings):
            holders[id(item.cls)] = item.cls, "settings"
        elif (function := _made_by_hypothesis(item.obj)) is not None:
            holders[id(function)] = function, _OF_FUNCTION
    for holder, name in holders.values():
        before: settings = getattr(holder, name)
        setattr(holder, name, settings(before, max_examples=max(1, round(before.max_examples * times))))


def _made_by_hypothesis(function: Callable[..., object] | None) -> Callable[..., object] | None:
    """The function under whatever was wrapped around it."""
    while function is not None and not hasattr(function, _OF_FUNCTION):
        function = getattr(function, "__wrapped__", None)
    return function
