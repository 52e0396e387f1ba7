"""How often the users of a zone asked a server, as a page of its counts tells.

Two forms are read: metrics as ours has them, and the statistics of BIND as JSON (`http://ADDRESS:PORT/json/v1/zones`,
with `zone-statistics full`). SOA queries and transfers are not counted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from nameserver.migrate.asking.asking import AS_PEERS_ASK
from nameserver.migrate.checks.typed_json import LARGEST

QUERIES = "nameserver_zone_queries_total"  # of kind "normal": neither SOA nor transfers nor NOTIFY
STARTED = "process_start_time_seconds"
OUR_START = "nameserver_start_timestamp_seconds"  # where the system does not tell when a process began


@dataclass(frozen=True, slots=True)
class Look:
    """What a page says: queries of users for the zone, and when who counts began (seconds since 1970), if it says.

    `ours`: it is a page of this software.
    """

    count: float
    started: float | None = None
    ours: bool = field(default=False, compare=False)


def read_pages(addresses: Sequence[str], pages: Sequence[str], zone: str) -> list[Look]:
    """What each page says. Raises ValueError, with the address of the page that does not tell."""
    looks = []
    for address, page in zip(addresses, pages, strict=True):
        try:
            looks.append(read_page(page, zone))
        except ValueError as error:
            raise ValueError(f"{address}: {error}") from error
    return looks


def read_page(text: str, zone: str) -> Look:
    """Raises ValueError where a page tells of no queries for the zone."""
    return _bind(text, zone) if text.lstrip().startswith("{") else _metrics(text, zone)


def _metrics(text: str, zone: str) -> Look:
    counts: list[float] = []
    starts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == QUERIES and sample.labels.get("zone") == zone and sample.labels.get("kind") == "normal":
                counts.append(sample.value)
            elif sample.name in (STARTED, OUR_START):
                starts[sample.name] = sample.value
    if not counts:
        raise ValueError(f"the page has no {QUERIES} of {zone} (is per-zone-metrics off there?)")
    odd = [value for value in (*counts, *starts.values()) if not 0 <= value < LARGEST]  # NaN is neither
    if odd:
        raise ValueError(f"the page counts {odd[0]:g}, which is no number of queries and no time")
    return Look(sum(counts), starts.get(STARTED, starts.get(OUR_START)), ours=True)


def _bind(text: str, zone: str) -> Look:
    try:
        page = json.loads(text)
        views = page["views"].values()
        found = [each for view in views for each in view.get("zones", ()) if each["name"].lower() == zone]
        counts = [_asked(each) for each in found if each["class"] == "IN"]
        started = datetime.fromisoformat(page["boot-time"]).timestamp()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the page is not the statistics of a BIND: {error}") from error
    if not counts:
        raise ValueError(f"BIND's statistics have no zone {zone}")
    if all(count is None for count in counts):
        # A zone that was never asked for has no counters either: nothing tells the one from the other.
        text = "is there `zone-statistics full;`? If so, ask it once for the SOA"
        raise ValueError(f"BIND has no counters of {zone}: {text}")
    return Look(float(sum(count or 0 for count in counts)), started)


def _asked(zone: dict[str, Any]) -> int | None:
    """Queries of users by a zone's entry; None where it has no counters."""
    if "qtypes" not in zone:
        return None
    return sum(int(count) for kind, count in zone["qtypes"].items() if kind not in AS_PEERS_ASK)
