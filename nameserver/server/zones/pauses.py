"""`pause` and `resume`: a zone is silent for a while, by command, as if it were gone already.

    pause   written down ─▶ workers told ─▶ all have heard it ─▶ …
    resume  ┐
    the end ┴▶ workers told ─▶ all have heard it ─▶ written down

In this order: a disk that fails keeps no zone silent. All else goes on meanwhile (checks, transfers in and out,
NOTIFY), so that the zone that comes back is current and nobody below it has missed anything.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from nameserver.config.model import ZoneConfig
from nameserver.control.protocol import ControlError, Json
from nameserver.errors import StoreError
from nameserver.refresh.pause import ANSWERS, LONGEST, SHORTEST, Pause, restored
from nameserver.server.clocks import machine_clock
from nameserver.server.zones.entry import ZoneEntry
from nameserver.server.zones.publisher import Publisher
from nameserver.store.pause_file import FILE_NAME, read_pauses, write_pauses
from nameserver.telemetry.words import duration, queries, timestamp

LONGEST_SLEEP = 5.0  # seconds: the loop's clock stands still while the machine is suspended, and a pause goes on

log = logging.getLogger("nameserver.zones")


class Pauses:
    """All pauses. `moved` is told of a zone that is answered again; a zone's entry has its pause too."""

    def __init__(
        self,
        directory: Path,
        entries: Mapping[bytes, ZoneEntry],
        publisher: Publisher,
        moved: Callable[[bytes], None],
        clock: Callable[[], float] = machine_clock,
    ) -> None:
        self._directory = directory
        self._entries = entries
        self._publisher = publisher
        self._moved = moved
        self._clock = clock
        self._pauses: dict[bytes, Pause] = {}
        self._lock = asyncio.Lock()  # one after the other: what is written is what holds
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._stopped = False

    def of(self, name: bytes) -> Pause | None:
        """A zone's pause."""
        return self._pauses.get(name)

    # --- start, stop, reload -----------------------------------------------------------------------------------------

    def restore(self, zones: Mapping[bytes, ZoneConfig]) -> None:
        """Go on with what was written down, before any worker runs. Where that cannot be read, no zone is paused."""
        try:
            kept = read_pauses(self._directory)
        except StoreError as error:
            log.error("%s: it says which zones are paused; all of them are answered", error)
            return
        now, wall = self._clock(), time.time()
        for name, each in kept.items():
            zone, pause = zones.get(name), restored(each, now, wall)
            if zone is not None and pause is not None:
                self._pauses[name] = pause
                self._publisher.set_paused(name, pause.rcode)
                log.warning("zone %s is still paused, until %s", zone.text, timestamp(pause.keep(now, wall).until))
            elif zone is not None:
                log.warning("zone %s: its pause has ended while the server was down; it is answered again", zone.text)
        if len(self._pauses) < len(kept):
            self._in_background(self._save_again())
        self._arm()

    async def forget(self, zones: Iterable[bytes]) -> None:
        """These are configured no more."""
        gone = [name for name in zones if name in self._pauses]
        if gone:
            async with self._lock:
                for name in gone:
                    self._pauses.pop(name, None)
                    self._publisher.set_paused(name, 0)
                await self._save_quietly()

    def clock_was_set(self) -> None:
        """The wall clock was set: what is written down goes by it."""
        if self._pauses:
            self._in_background(self._save_again())

    async def stop(self) -> None:
        """End no pause any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- orders ------------------------------------------------------------------------------------------------------

    async def pause(self, entry: ZoneEntry, answer: object, length: object) -> Json:
        """Have a zone answered with an error for `length` seconds from now, whatever was ordered before.

        Raises ControlError, with nothing changed, for what cannot be ordered or written down.
        """
        if answer not in ANSWERS:
            raise ControlError(f"a paused zone answers {' or '.join(ANSWERS)}, not {answer!r}")
        if isinstance(length, bool) or not isinstance(length, int | float) or not SHORTEST <= length <= LONGEST:
            raise ControlError(
                f"a pause is a trial, of {duration(SHORTEST)} to {duration(LONGEST)}: a zone that is to be silent for "
                "longer is to be removed"
            )
        name, text = entry.config.name, entry.config.text
        async with self._lock:
            now, wall = self._clock(), time.time()
            before = self._pauses.get(name)
            told = before.keep(now, wall).until if before is not None else None
            fresh = Pause(str(answer), before.began if before is not None else now, now + length)
            try:
                await self._save({**self._pauses, name: fresh})
            except OSError as error:
                left = "its pause is as it was" if before is not None else "it is not paused"
                raise ControlError(f"zone {text}: {left}: {_where(error, self._directory)}") from error
            if before is not None:  # what was counted stays
                before.answer, before.ends = fresh.answer, fresh.ends
                fresh = before
            self._pauses[name] = entry.pause = fresh
            self._publisher.set_paused(name, fresh.rcode)
            heard = await self._publisher.heard()
            self._arm()
        until = fresh.keep(now, wall).until
        log.warning(
            "zone %s is %s until %s: queries get %s",
            text, "paused" if before is None else "paused anew,", timestamp(until), fresh.answer.upper(),
        )  # fmt: skip
        return {
            "zone": text,
            "answer": fresh.answer,
            "since": fresh.keep(now, wall).since,
            "until": until,
            "now": wall,
            "before": told,
            "answering": entry.answering,
            "heard": heard,
        }

    async def resume(self, entry: ZoneEntry) -> Json:
        """Have a zone answered again at once. `was`: it was paused."""
        async with self._lock:
            pause = self._pauses.get(entry.config.name)
            if pause is None:
                return {"zone": entry.config.text, "was": False}
            heard = await self._end({entry.config.name: pause}, "by command")
            trouble = await self._save_quietly()
        return {
            "zone": entry.config.text,
            "was": True,
            "lasted": self._clock() - pause.began,
            "queries": pause.queries,
            "control_queries": pause.control_queries,
            "state": entry.state,
            "answering": entry.answering,
            "heard": heard,
            "trouble": trouble,
        }

    async def _end(self, over: Mapping[bytes, Pause], why: str) -> bool:
        """Have zones answered again, all at once; whether every worker has said that it does."""
        for name in over:
            del self._pauses[name]
            self._publisher.set_paused(name, 0)
        # What was asked until now comes before the workers say that they have heard it: so the count is complete.
        heard = await self._publisher.heard()
        for name, pause in over.items():
            entry = self._entries.get(name)
            if entry is not None:
                entry.pause = None
                self._moved(name)
                log.warning(
                    "zone %s is paused no more (%s, after %s): %s and %s of peers came meanwhile",
                    entry.config.text, why, duration(self._clock() - pause.began), queries(pause.queries),
                    f"{pause.control_queries:,}",
                )  # fmt: skip
        return heard

    # --- the clock ---------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Wake when the first of them ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pauses and not self._stopped:
            left = min(pause.ends for pause in self._pauses.values()) - self._clock()
            self._timer = asyncio.get_running_loop().call_later(min(max(left, 0.0), LONGEST_SLEEP), self._look)

    def _look(self) -> None:
        self._timer = None
        if any(pause.ends <= self._clock() for pause in self._pauses.values()):
            self._in_background(self.end_what_is_over())
        else:
            self._arm()

    async def end_what_is_over(self) -> None:
        """End the pauses whose time is up."""
        async with self._lock:
            try:
                now = self._clock()
                over = {name: pause for name, pause in self._pauses.items() if pause.ends <= now}
                await self._end(over, "its time is up")
                await self._save_quietly()
            finally:  # whatever broke, time goes on
                self._arm()

    # --- the file ----------------------------------------------------------------------------------------------------

    async def _save(self, pauses: Mapping[bytes, Pause]) -> None:
        """Raises `OSError`."""
        now, wall = self._clock(), time.time()
        await asyncio.to_thread(write_pauses, self._directory, {k: p.keep(now, wall) for k, p in pauses.items()})

    async def _save_again(self) -> None:
        async with self._lock:
            await self._save_quietly()

    async def _save_quietly(self) -> str:
        """Where it cannot be written, that is no reason not to go on: why, else nothing."""
        try:
            await self._save(self._pauses)
        except OSError as error:
            why = _where(error, self._directory)
            log.error("which zones are paused cannot be written, and a restart goes by what was: %s", why)
            return why
        return ""

    def _in_background(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a pause broke; please report this", exc_info=error)


def _where(error: OSError, directory: Path) -> str:
    return f"{directory / FILE_NAME}: {error.strerror or error}"
