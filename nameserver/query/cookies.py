"""Answers to messages with a DNS cookie, without the pipeline.

Such a message is like no other, and neither is its answer: each has octets that nobody sends again. So both are taken
apart. What is left is found, composed and kept like any other message and answer (`nameserver.query.shortcut`):

    message   header question OPT{size, COOKIE, 8 or 24 │ client cookie · server cookie}
    answer    header question …   OPT{size, COOKIE,  24 │ client cookie · new server cookie}
              ── as for everyone who asks so ───────────┼── its own

The cookies of a whole batch are judged in one go, since that is when hashes are cheap (`nameserver.wire.siphash`). It
is done where the cookie is the last thing in the message and its OPT's only option, which is how clients send it.
"""

from collections.abc import Callable, Sequence

from nameserver.query.exchange import Outcome
from nameserver.query.pipeline import Pipeline
from nameserver.query.shortcut import Entry, Shortcut, name_end
from nameserver.query.tally import Tally
from nameserver.wire.cookie import CLIENT_SIZE, COOKIE_SIZE, judge_many

CLIENT_ALONE = b"\0\x0a\0\x08"  # a COOKIE option's code and size, with a client cookie …
_WITH_SERVER = b"\0\x0a\0\x18"  # … and with a server cookie such as ours
_OPT = 15  # octets of an OPT record with such an option, less what that holds
_ONE_ADDITIONAL = b"\0\1"


class CookieShortcut:
    """The way around the pipeline for messages with cookies, beside the one for messages without."""

    def __init__(
        self, pipeline: Pipeline, transport: str, family: int, locate: Callable[[bytes], int], tally: Tally
    ) -> None:
        self.shortcut = Shortcut(pipeline, transport, family, locate, tally, cookie=True)
        self._pipeline = pipeline

    @property
    def are_for_all(self) -> bool:
        """Whether everyone who sends a cookie gets one with an answer, be it a client cookie alone."""
        settings = self._pipeline.settings
        return bool(settings.cookie_secrets) and not settings.require_cookies and self._pipeline.limiter is None

    def find(self, asked: bytes, cookie: bytes) -> Entry | None:
        """The answer but for its cookie, to be counted as its kind; `asked` and `cookie` are from `split`."""
        settings, limiter = self._pipeline.settings, self._pipeline.limiter
        # Whether the cookie is a good one is not known yet, and who has none may be wanted to get one, or be limited.
        if not settings.cookie_secrets or limiter is not None:
            return None
        if settings.require_cookies and len(cookie) == CLIENT_SIZE:
            return None
        return self.shortcut.find(asked)

    def learn(self, asked: bytes, outcome: Outcome) -> None:
        """Keep what the pipeline said to a message for which `find` had nothing; call it right after that."""
        reply, rest = outcome.reply, asked[name_end(asked) + 4 :]
        alone = len(rest) == _OPT and asked[8:10] == _ONE_ADDITIONAL and len(outcome.cookie) == COOKIE_SIZE
        if reply is not None and alone and reply.endswith(outcome.cookie):
            self.shortcut.learn(asked, Outcome(reply[:-COOKIE_SIZE], repeatable=outcome.repeatable))

    def bodies(
        self, waiting: Sequence[bytes], cookies: Sequence[bytes], addresses: Sequence[bytes], now: int
    ) -> list[bytes | None]:
        """Answers, `waiting` for their cookies, with these; None for what the pipeline has to answer after all.

        `cookies` are those of the messages, `addresses` where they came from, in network order.
        """
        settings = self._pipeline.settings
        replies, good = judge_many(cookies, addresses, now, settings.cookie_secrets)
        bodies: list[bytes | None] = [body + reply for body, reply in zip(waiting, replies, strict=True)]
        if settings.require_cookies:
            bodies = [body if index in good else None for index, body in enumerate(bodies)]
        return bodies


def split(asked: bytes) -> tuple[bytes, bytes] | None:
    """A message, without its id, as (what comes before its cookie, the cookie); None where it seems to have none."""
    if asked[-12:-8] == CLIENT_ALONE:
        return asked[:-8], asked[-8:]
    if asked[-28:-24] == _WITH_SERVER:
        return asked[:-24], asked[-24:]
    return None
