"""What every test gets: both event loops in debug mode for async tests, a clock moved by hand, the `interop` rule."""

import asyncio
import functools
import inspect
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest
import uvloop
from hypothesis import settings
from support.clock import ManualClock
from support.more_examples import TIMES, give_more
from support.process import WITNESSES

# A busy machine fails no test: nothing generated is timed, unless a test says so itself.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Debug mode for both loops: slow callbacks, never-awaited coroutines and calls from wrong threads show up."""
    # pytest-asyncio tells everyone that an ini line is not set, before any test; what it would say is what we want.
    warnings.filterwarnings("ignore", message="The configuration option .asyncio_default_fixture_loop_scope. is unset")
    if config.option.asyncio_debug is None:
        config.option.asyncio_debug = True


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs twice; `@pytest.mark.asyncio(loop_factories=["asyncio"])` picks one."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything under tests/interop is `interop`; every async test ends in time; property tests have more to do."""
    if TIMES != 1:
        give_more(items)
    for item in items:
        if "interop" in item.path.parent.parts:
            item.add_marker("interop")
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("timeout")
            item.obj = limited(item.obj, float(marker.args[0] if marker else config.getini("timeout") or 60))


def limited(test: Callable[..., Coroutine[Any, Any, None]], seconds: float) -> Callable[..., Coroutine[Any, Any, None]]:
    """The test under a time limit of the loop's own: uvloop swallows the signal that ends others."""

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(0.9 * seconds):
            await test(*args, **kwargs)

    return run


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until a test moves it."""
    return ManualClock()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure comes with what the daemons that were running had to say."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += [("daemon", explain()) for explain in WITNESSES]
