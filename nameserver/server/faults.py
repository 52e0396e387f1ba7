"""What breaks while others are served: counted, told once a minute, and never the end of the process.

    answering raised             ─▶ answer        SERVFAIL to the one who asked, where the request can be read
    a reply could not be sent    ─▶ not_sent      the socket stays open
    a callback or a task raised  ─▶ loop_handler  the loop's own last resort

Nothing of it should ever happen; all of it will. A fault that every packet meets must not fill the disk with
tracebacks, so each is told once a minute by its kind and place, with how often it came meanwhile.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any

from nameserver.query.counters import CALLBACK, QUERY, CounterArray, internal_error_slot, send_error_slot
from nameserver.query.exchange import Outcome
from nameserver.query.pipeline import Pipeline
from nameserver.telemetry.throttle import Throttle

_PACKAGE = __name__.partition(".")[0]

log = logging.getLogger("nameserver.faults")


class Faults:
    """The faults of one process. `count` is told where each happened: `QUERY` or `CALLBACK`."""

    def __init__(self, count: Callable[[str], None], throttle: Throttle | None = None) -> None:
        self._count = count
        self._throttle = throttle or Throttle()
        self._send_errors: CounterArray | None = None

    @classmethod
    def counted_in(cls, counters: CounterArray) -> "Faults":
        """Those of an answering process, whose counters are laid out as `nameserver.query.counters` says."""

        def count(where: str) -> None:
            counters[internal_error_slot(where)] += 1

        faults = cls(count)
        faults._send_errors = counters
        return faults

    def answer(self, error: Exception, pipeline: Pipeline, data: bytes, transport: str) -> Outcome:
        """What to do about a message whose handling raised `error`."""
        self.broke(QUERY, f"answering a request over {transport}", error)
        try:
            return pipeline.answer_fault(data, transport)
        except Exception:  # noqa: BLE001 - it is reading requests that is broken: told above
            return Outcome()

    def broke(self, where: str, what: str, error: BaseException) -> None:
        """Count and perhaps tell a fault of our own."""
        self._count(where)
        place = f"{type(error).__name__} at {place_of(error.__traceback__)}"
        if times := self._throttle.due(f"{where}: {place}"):
            log.error("%s broke: %s%s; please report this", what, place, _more(times), exc_info=error)

    def not_sent(self, error: OSError) -> None:
        """A reply is lost: a full queue, a firewall, no way there."""
        if self._send_errors is not None:
            self._send_errors[send_error_slot(errno.errorcode.get(error.errno or 0, ""))] += 1
        self.mention("sending a reply", error)

    def mention(self, what: str, error: OSError) -> None:
        """The network or the system fails us, which is no fault of ours."""
        if times := self._throttle.due(f"{what}: {error.errno}"):
            log.warning("%s: %s%s", what, error.strerror or error, _more(times))

    def remark(self, text: str) -> None:
        """Something that the operator should know of, and that may be so for long."""
        if times := self._throttle.due(text):
            log.warning("%s%s", text, _more(times))

    def loop_handler(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For `loop.set_exception_handler`: what nobody caught. The loop goes on."""
        error, message = context.get("exception"), str(context.get("message", "a callback failed"))
        if isinstance(error, OSError) and not place_of(error.__traceback__).startswith(_PACKAGE):
            self.mention(message, error)  # a connection's end, met inside the loop
        elif error is not None:
            self.broke(CALLBACK, message, error)
        elif times := self._throttle.due(message[:60]):
            log.error("%s%s", message, _more(times))


def place_of(trace: TracebackType | None) -> str:
    """The innermost place of ours that an error passed, as module:line; the very innermost where there is none."""
    found = "an unknown place"
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "?")
        if module.partition(".")[0] == _PACKAGE or not found.startswith(f"{_PACKAGE}."):
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _more(times: int) -> str:
    return f" ({times} times since this was last told)" if times > 1 else ""
