"""The choice of event loop."""

import asyncio
import subprocess
import sys

import pytest
import uvloop

from nameserver.errors import NameserverError
from nameserver.server.loop import loop_factory, run


def test_asyncio_is_pythons_own_loop_and_the_others_are_uvloop_where_it_is_installed() -> None:
    assert loop_factory("asyncio") is None
    assert loop_factory("uvloop") is uvloop.new_event_loop
    assert loop_factory("auto") is uvloop.new_event_loop


def test_without_uvloop_auto_falls_back_and_asking_for_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory("auto") is None
    with pytest.raises(NameserverError, match="uvloop is not installed"):
        loop_factory("uvloop")


@pytest.mark.parametrize("choice", ["asyncio", "uvloop"])
def test_a_coroutine_runs_to_its_end_on_the_loop_chosen(choice: str) -> None:
    seen: list[str] = []

    async def main() -> None:
        seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    run(main, choice)
    assert seen == [choice]


def test_a_loop_that_cannot_be_closed_does_not_keep_the_process() -> None:
    """Here a thread that never ends takes the part of the handle that is never closed."""
    program = (
        "import asyncio, threading\n"
        "from nameserver.server import loop\n"
        "loop.CLOSE_PATIENCE = 0.2\n"
        "async def main():\n"
        "    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)\n"
        "    print('done', flush=True)\n"
        "loop.run(main, 'auto')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
