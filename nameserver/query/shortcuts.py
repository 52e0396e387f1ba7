"""The ways around the pipeline of one process: by transport and address family, without cookies and with."""

from collections.abc import Callable

from nameserver.query.cookies import CookieShortcut
from nameserver.query.counters import TCP, UDP
from nameserver.query.pipeline import Pipeline
from nameserver.query.shortcut import Shortcut
from nameserver.query.tally import Tally


class Shortcuts:
    """All of them. `locate` as for `Shortcut`."""

    made = Shortcut

    def __init__(self, pipeline: Pipeline, locate: Callable[[bytes], int]) -> None:
        self._pipeline = pipeline
        self._tally = Tally()
        self._arranged = pipeline.zones.rearranged
        ways = [(transport, version) for transport in (UDP, TCP) for version in (4, 6)]
        self._plain = {way: self.made(pipeline, *way, locate, self._tally) for way in ways}
        self._cookies = {way: CookieShortcut(pipeline, *way, locate, self._tally) for way in ways}

    def of(self, transport: str, version: int) -> Shortcut:
        """The one for "udp" or "tcp", and IP version 4 or 6."""
        return self._plain[transport, version]

    def with_cookies(self, transport: str, version: int) -> CookieShortcut:
        """The same for messages with cookies."""
        return self._cookies[transport, version]

    def count(self) -> None:
        """Bring the counters up to date. Nothing may be on its way."""
        self._tally.count(self._pipeline.counters)
        every = (*self._plain.values(), *(each.shortcut for each in self._cookies.values()))
        for each in every:
            each.spent.clear()
        arranged = self._pipeline.zones.rearranged
        if self._arranged != arranged or self._tally.is_full:
            self._arranged = arranged
            self._tally.forget()
            for each in every:
                each.forget()
