"""Arithmetic of the SOA timers: clamps, jitter, RFC 7314 expire. Seconds throughout."""

from dataclasses import dataclass

MINUTE, HOUR, DAY = 60, 3600, 86400


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
