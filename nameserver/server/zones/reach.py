"""Keeps which primaries answer, over all zones' runs: the clock, the log and the words around `refresh.silence`.

A way is one address over one transport. That UDP fails where TCP works is common, and the other way round; a silent
way costs its zones a time-out each, so it is worth knowing which of the two it is.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import TransferError
from nameserver.refresh.outcome import CLASS_OF, FailureClass
from nameserver.refresh.silence import SILENT_REASONS, Silence, Silences
from nameserver.telemetry.words import duration, timestamp

# Whoever fails like this has said something. A stream that broke off may come from a proxy with nobody behind it.
_SPOKE = frozenset(FailureClass) - {FailureClass.CONNECT, FailureClass.STALL, FailureClass.STREAM, FailureClass.LOCAL}
_TRANSPORTS = ("udp", "tcp", "tls")

log = logging.getLogger("nameserver.primaries")


class Way(NamedTuple):
    """One address of a primary over one transport: "udp", "tcp" or "tls"."""

    endpoint: Endpoint
    transport: str

    def __str__(self) -> str:
        return f"{self.endpoint} over {self.transport.upper()}"


class PassedOver(TransferError):
    """The address is silent and was not asked: another run is trying it, or this one can ask somebody else first."""


class Reach:
    """Who answers. `on_return` is told of zones (by name) that could not get through to a primary that now answers."""

    def __init__(
        self,
        patience: float,
        on_return: Callable[[Collection[bytes]], None] = lambda _zones: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience`: seconds for which an address that did not answer is taken as silent; 0: never."""
        self._silences: Silences[Way, bytes] = Silences(patience)
        self._on_return = on_return
        self._clock = clock

    def silent(self, remote: Remote) -> frozenset[int]:
        """Which of a remote's addresses a run had better try last. By TCP: without it there is no transfer."""
        if not self._silences.any:  # mostly, and ten thousand zones ask
            return frozenset()
        now, transport = self._clock(), "tcp" if remote.tls is None else "tls"
        return frozenset(
            index
            for index, endpoint in enumerate(remote.addresses)
            if self._silences.of(Way(endpoint, transport), now) is not None
        )

    @contextmanager
    def exchange(self, way: Way, zone: bytes, *, elsewhere: bool) -> Iterator[Callable[[], None]]:
        """Around one exchange of a zone's run. What is yielded is to be called for each message that came.

        `elsewhere`: the run can ask somebody else first. Raises PassedOver, before anything was asked. Learns from the
        TransferError that ends the exchange.
        """
        began = self._clock()
        silence = self._silences.enter(way, zone, began, elsewhere=elsewhere)
        if silence is not None:
            since = timestamp(time.time() - (began - silence.since))
            raise PassedOver(silence.reason, f"{silence.detail}; not asked again: silent since {since}")
        last = began

        def heard() -> None:
            nonlocal last
            last = self._clock()
            self._answered(way, zone, last)

        try:
            yield heard
        except TransferError as error:
            if error.reason in SILENT_REASONS:
                self._failed(way, zone, Silence(error.reason, error.detail or str(error.reason), last))
            elif CLASS_OF[error.reason] in _SPOKE:
                heard()
            raise
        finally:
            self._silences.left(way, zone)

    def ask_again(self, zone: ZoneConfig, source: str | None = None) -> None:
        """An operator wants the zone's primaries asked; or a NOTIFY came from `source`, which may be one of them."""
        addresses = [each for remote in zone.primaries for each in remote.addresses if source in (None, each.host)]
        self._silences.forget((Way(each, transport) for each in addresses for transport in _TRANSPORTS), self._clock())

    def keep(self, zones: Iterable[ZoneConfig]) -> None:
        """Forget whoever is no primary of these zones any more."""
        addresses = {each for zone in zones for remote in zone.primaries for each in remote.addresses}
        self._silences.keep(Way(each, transport) for each in addresses for transport in _TRANSPORTS)

    def _answered(self, way: Way, zone: bytes, now: float) -> None:
        silence = self._silences.of(way, now)
        waiting = self._silences.answered(way, zone, now)
        if silence is not None:
            log.info("primary at %s answers again after %s", way, duration(now - silence.since))
        if waiting:
            self._on_return(waiting)

    def _failed(self, way: Way, zone: bytes, silence: Silence) -> None:
        if self._silences.failed(way, zone, silence, self._clock()):
            log.warning(
                "primary at %s is silent: %s (%s); until it answers, one zone at a time asks it",
                way,
                silence.reason,
                silence.detail,
            )
