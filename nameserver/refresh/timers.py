"""Arithmetic of the SOA timers: clamps, jitter, back-off, RFC 7314 expire. Seconds throughout.

A SOA is somebody else's input: its 32-bit times may be zero or 136 years. `effective` turns them into times that
neither busy the primary nor keep a dead zone alive for ever; everything else here works on the result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from nameserver.zone.soa import Soa

MINUTE, HOUR, DAY = 60, 3600, 86400

SHORTEST_WAIT = 0.1  # whatever SOA and limits say: no timer becomes a busy loop
MOST_JITTER = 0.5


@dataclass(frozen=True, slots=True)
class TimerLimits:
    """Clamps on what a zone's SOA may ask for, in seconds."""

    min_refresh: float = 30.0
    max_refresh: float = 28.0 * DAY
    min_retry: float = 10.0
    max_retry: float = 14.0 * DAY
    min_expire: float = 60.0  # and never below refresh + retry
    max_expire: float = 168.0 * DAY
    jitter: float = 0.1  # refresh and retry come up to this share early, never late


class Timers(NamedTuple):
    """A zone's timers as we keep them, in seconds."""

    refresh: float  # between a successful check and the next
    retry: float  # between a failed check and the next
    expire: float  # from the last successful check until the zone is no longer answered from


def effective(soa: Soa, limits: TimerLimits) -> Timers:
    """The timers of a zone with this SOA (RFC 1035 §3.3.13), clamped.

    Where a limit contradicts another, the lower bound wins. In particular expire is at least refresh + retry, even
    above `max_expire`: a healthy zone must not expire between two checks.
    """
    refresh = _clamp(soa.refresh, limits.min_refresh, limits.max_refresh)
    retry = _clamp(soa.retry, limits.min_retry, limits.max_retry)
    expire = _clamp(soa.expire, max(limits.min_expire, refresh + retry), limits.max_expire)
    return Timers(refresh, retry, expire)


def life_after_transfer(soa: Soa, timers: Timers, expire_option: float | None) -> float:
    """For how long a version that was just transferred, with this SOA, may be served.

    The primary's EXPIRE option takes the place of the SOA's expire, which stays the maximum (RFC 7314 §4).
    """
    if expire_option is None or _is_from_origin(soa, expire_option):
        return timers.expire
    return min(timers.expire, float(expire_option))


def aged(soa: Soa, expire_option: int | None, seconds: float) -> float | None:
    """What is left of an EXPIRE option after so many seconds, as of a transfer that it came at the beginning of.

    One from the origin stays what it is: there no time of the zone's life passes, and ours begins with what came.
    """
    if expire_option is None or _is_from_origin(soa, expire_option):
        return expire_option
    return max(0.0, expire_option - seconds)


def life_after_check(soa: Soa, timers: Timers, expire_option: float | None, left: float) -> float:
    """For how long a version that was found current may be served, when it had `left` to live.

    Without the option the primary is taken for the origin and the expire timer starts anew (RFC 1034 §4.3.5). With
    one that is shorter than the SOA's expire, the life is the longer of the option and what was left, the SOA's expire
    at most (RFC 7314 §4): another secondary that is about to lose the zone neither extends our life nor cuts it.
    """
    if expire_option is None or _is_from_origin(soa, expire_option):
        return timers.expire
    return min(timers.expire, max(left, float(expire_option)))


def _is_from_origin(soa: Soa, expire_option: float) -> bool:
    """Whether an EXPIRE option says no more than the SOA: nothing of the zone's life has passed where it comes from.

    Servers that are the origin send the SOA's expire as it stands (RFC 7314 §3.1), so our limits have to be applied to
    it as to the SOA's own: else a `min-expire-time` would hold with one primary and not with another. What is compared
    is the SOA's own expire, before any limit.
    """
    return expire_option >= soa.expire


def early(wait: float, limits: TimerLimits, random: Callable[[], float]) -> float:
    """`wait` cut by up to the limits' jitter, so that zones with equal timers drift apart. Never longer than `wait`.

    `random` gives numbers from 0 up to 1.
    """
    return max(SHORTEST_WAIT, wait * (1 - min(limits.jitter, MOST_JITTER) * random()))


def backoff(first: float, failures: int, cap: float) -> float:
    """The wait after this many failures in a row: `first`, doubled for each failure after the first, at most `cap`.

    Never below `first`, even where the cap is.
    """
    doublings = min(max(failures - 1, 0), 32)  # 2**32 is beyond any cap, 2**2000 beyond any float
    return max(first, min(cap, first * 2.0**doublings))


def _clamp(value: float, low: float, high: float) -> float:
    """`value` within [low, high]; `low` where the bounds contradict each other."""
    return max(low, SHORTEST_WAIT, min(value, high))
