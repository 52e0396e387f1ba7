"""Trouble with the disk under the store, from the first call that fails to the probe that succeeds.

    a call failed: full, read-only, gone, broken, locked ─▶ trouble: told once, shown in status, metric and page
                        probed, later each time          ─▶ it takes writes again: told, and what waited for it is done

Only what an operator can mend at the disk is trouble of this kind. Damage is dealt with where it is found.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from nameserver.errors import StoreError, StoreFault
from nameserver.telemetry.words import duration, timestamp

FIRST_PROBE, LAST_PROBE = 1.0, 30.0  # seconds from one probe to the next; doubled each time
DISK_FAULTS = frozenset({StoreFault.FULL, StoreFault.READ_ONLY, StoreFault.MISSING, StoreFault.IO, StoreFault.LOCKED})

log = logging.getLogger("nameserver.store")


class StoreWatch:
    """What is wrong with the store now, and the task that finds out when it is not any more."""

    def __init__(self, probe: Callable[[int], Awaitable[None]], on_end: Callable[[], Awaitable[None]]) -> None:
        """`probe` raises StoreError unless the store takes writes and has room for so many bytes more.

        `on_end` does what had to wait for that; it is called while the store counts as in trouble no more.
        """
        self._probe = probe
        self._on_end = on_end
        self._error: StoreError | None = None
        self._since = 0.0  # wall clock
        self._needed = 0  # bytes that did not fit
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def troubled(self) -> bool:
        """Whether the last that was heard of the disk is bad."""
        return self._error is not None

    @property
    def notice(self) -> str:
        """The trouble as a sentence for the operator; empty while there is none."""
        if self._error is None:
            return ""
        return (
            f"the store has been in trouble since {timestamp(self._since)}: {self._error}. What is held is served on; "
            "no restart is needed once this is mended"
        )

    def failed(self, error: StoreError, needed: int = 0) -> None:
        """A call to the store failed; `needed`: the bytes that it was to write, where they are many."""
        if error.fault not in DISK_FAULTS:
            return
        before, self._error = self._error, error
        self._needed = max(self._needed, needed)
        if before is None:
            self._since = time.time()
        if before is None or before.fault is not error.fault:
            log.error("the store is in trouble: %s. What is held is served on; tried again until it works", error)
        if self._task is None and not self._stopped:
            self._task = asyncio.create_task(self._wait_for_the_end(), name="store probe")

    async def _wait_for_the_end(self) -> None:
        wait = FIRST_PROBE
        try:
            while self._error is not None:
                await asyncio.sleep(wait)
                wait = min(wait * 2, LAST_PROBE)
                try:
                    await self._probe(self._needed)
                except StoreError as error:
                    self.failed(error)
                    if error.fault not in DISK_FAULTS:
                        log.error("the store cannot be probed: %s", error)
                else:
                    log.warning("the store takes writes again, after %s", duration(time.time() - self._since))
                    self._error, self._needed = None, 0
                    await self._on_end()  # which may find that it was too early to be glad
        except Exception:
            log.exception("watching the store broke; please report this")
            self._error = None
        finally:
            self._task = None

    async def stop(self) -> None:
        """Leave it as it is, for good."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
