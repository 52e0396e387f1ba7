"""Since when what the keys of the old side are needed for is so: kept in the state, for it has to be counted from."""

from collections.abc import Sequence
from dataclasses import replace

import dns.name
from dns.rdatatype import DNSKEY, SOA, RdataType

from nameserver.migrate.checks.dnssec_plan import FLOOR
from nameserver.migrate.checks.old_keys import (
    DS_GONE,
    DS_SEEN,
    DS_SINCE,
    NEW_SEEN,
    SET_ENDED,
    SET_SEEN,
    ZONE_ENDED,
    ZONE_SEEN,
    Known,
    Look,
    Ttls,
    key_of,
)
from nameserver.migrate.checks.signed_sides import Key, Side, anchors_of, fits, keys_of, signs, texts_of
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move.phases import State

LEFT, INSECURE = "old-left", "no-ds"


def note(state: State, zone: dns.name.Name, look: Look, now: float) -> None:
    """Keep what was seen; `now` in seconds since 1970. Who did not answer stops no clock, and begins none."""
    now = max(now, state.latest)  # a clock that was set back lets nothing begin before what came earlier
    new_told = all(not side.problem for side in look.new)
    old_told = bool(look.old) and all(not side.problem for side in look.old)  # one that is gone has not stopped to sign
    _find(state, zone, look, new_told=new_told)
    anchors = {server: anchors_of(texts) for server, texts in look.ds.items()}
    for text, marks in state.old_keys.items():
        key = key_of(text)
        if key is None:
            continue
        given = [any(fits(zone, key, ds) for ds in each) for each in anchors.values()]
        _mark(marks, DS_SEEN, DS_GONE, any(given), look.all_told, now)
        if not all(given):
            marks.pop(DS_SINCE, None)
        elif given and look.all_told:
            marks.setdefault(DS_SINCE, now)
        _mark(marks, SET_SEEN, SET_ENDED, _signed(look.old, key, DNSKEY), old_told, now)
        _mark(marks, ZONE_SEEN, ZONE_ENDED, _signed(look.old, key, SOA), old_told, now)
        if look.new and all(text in texts_of(side.keys) for side in look.new):
            marks[NEW_SEEN] = now
    if look.sends:
        state.note(LEFT, False, now)
    elif look.all_told and new_told:
        state.note(LEFT, True, now)
    if any(look.ds.values()):
        state.note(INSECURE, False, now)
    elif look.all_told:
        state.note(INSECURE, True, now)


def _find(state: State, zone: dns.name.Name, look: Look, *, new_told: bool) -> None:
    """Begin to keep the keys that the old side signs with, or that a DS leads to; not those that the new side uses."""
    own = {
        key.to_text() for side in look.new for key in keys_of(side) if signs(side, key, DNSKEY) or signs(side, key, SOA)
    }
    for text in own & state.old_keys.keys():
        del state.old_keys[text]
    every = anchors_of(frozenset().union(*look.ds.values()))
    for side in look.old if new_told else ():
        for key in keys_of(side):
            used = signs(side, key, DNSKEY) or signs(side, key, SOA) or any(fits(zone, key, ds) for ds in every)
            if used and key.to_text() not in own:
                state.old_keys.setdefault(key.to_text(), {})


def _signed(sides: Sequence[Side], key: Key, rdtype: RdataType) -> bool:
    return any(signs(side, key, rdtype) for side in sides)


def _mark(marks: dict[str, float], seen: str, gone: str, holds: bool, told: bool, now: float) -> None:
    if holds:
        marks[seen] = now
        marks.pop(gone, None)
    elif told and seen in marks:
        marks.setdefault(gone, now)


def known(state: State, look: Look, baseline: Snapshot | None) -> Known:
    """What is known of this move's keys, with the largest TTLs that it has met."""
    seen = look.ttls
    for name, ttl in (
        ("dnskey_ttl", seen.keys),
        ("ds_ttl", seen.ds),
        ("answers_ttl", seen.answers),
        ("ns_ttl", seen.ns),
    ):
        state.cached[name] = max(ttl, state.cached.get(name, 0))
    cached = state.cached
    largest, lowered = cached.get("largest_ttl", 0.0), state.seen.get("ttl-lowered")
    ttls = Ttls(
        max(cached["ds_ttl"], FLOOR if state.dnssec == "unsign" else 0),
        cached["dnskey_ttl"],
        cached["answers_ttl"] if lowered is not None else max(cached["answers_ttl"], largest),
        max(cached["ns_ttl"], cached.get("parent_ns_ttl", 0)),
    )
    if not state.old_names_alone:  # then it is addresses that have to be forgotten
        ttls = replace(ttls, ns=max(ttls.ns, ttls.answers))
    former = frozenset(baseline.ds) if baseline is not None else frozenset[str]()
    aged = 0.0 if lowered is None else lowered + largest
    return Known(state.old_keys, state.seen.get(LEFT), state.seen.get(INSECURE), ttls, aged, former)
