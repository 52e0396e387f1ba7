"""`migrate snapshot`: a zone as it is now, as files that can be committed: the way back, and the baseline for TTLs.

    DIRECTORY/example.com.zone    the canonical zone file: one record a line, sorted, names in lower case, absolute
    DIRECTORY/example.com.json    digest, serial, source, time; TTLs, NS and DS as they are to be restored

and, for those who ask for them, `example.com.yaml` (octoDNS) and `example.com.rrsets.json`, made of the zone file.

All are written whole or not at all. The zone file of an unchanged zone is the same octet for octet, whoever sent it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nameserver.errors import NameserverError
from nameserver.migrate.asking.zone_stream import ZoneStream, record_text, soa_text
from nameserver.migrate.checks.contents import Contents
from nameserver.migrate.checks.typed_json import filled, read_json
from nameserver.store.whole_file import write_whole
from nameserver.wire import names

FORMAT = 1


class SnapshotError(NameserverError):
    """A snapshot cannot be taken, or one that was taken cannot be read."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What the parent says of the zone: what a way back has to restore. TTLs in seconds."""

    ns: list[str] = field(default_factory=list)
    ns_ttl: int = 0
    ds: list[str] = field(default_factory=list)
    ds_ttl: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a zone as it was at `taken` (seconds since 1970). TTLs in seconds."""

    zone: str
    serial: int
    digest: str  # SHA-384 of the zone file, hexadecimal
    source: str
    taken: float
    complete: bool  # False: by questions, from a list of names
    records: int
    counts: dict[str, int]
    soa_ttl: int
    soa_minimum: int
    largest_ttl: int  # of all RRsets but those that signers make
    ttls: dict[str, int]  # "owner TYPE" → TTL
    ns: list[str]
    ns_ttl: int
    parent_ns: list[str]
    parent_ns_ttl: int
    ds: list[str]  # at the parent, as text; empty: unsigned, or not asked
    ds_ttl: int
    format: int = FORMAT


def each_once(stream: ZoneStream) -> ZoneStream:
    """Without the records that the server sent more than once: another server's file must be the same."""
    kept = [record for record, before in zip(stream.records, [b"", *stream.records], strict=False) if record != before]
    return replace(stream, records=kept)


def zone_lines(stream: ZoneStream) -> Iterator[str]:
    """The canonical zone file, a line at a time, each with its line end; the SOA first."""
    yield f"{soa_text(stream)}\n"
    for record in stream.records:
        yield f"{record_text(record, stream.zone)}\n"


def take(
    stream: ZoneStream,
    contents: Contents,
    source: str,
    now: float,
    *,
    complete: bool = True,
    parent: Parent | None = None,
) -> tuple[Snapshot, list[str]]:
    """(what is known, the lines of the zone file). Raises SnapshotError for a zone that holds nothing but its SOA."""
    if not stream.records:
        raise SnapshotError(f"{source} has no record but the SOA: nothing that could be restored from")
    parent = parent or Parent()
    lines = list(zone_lines(stream))
    digest = hashlib.sha384()
    for line in lines:
        digest.update(line.encode())
    ttls = {f"{owner} {kind}": ttl for (owner, kind), ttl in contents.ttls.items()}
    made = ("RRSIG", "NSEC", "NSEC3", "NSEC3PARAM")
    largest = max((ttl for (_, kind), ttl in contents.ttls.items() if kind not in made), default=stream.soa_ttl)
    return (
        Snapshot(
            names.to_text(stream.zone),
            stream.soa.serial,
            digest.hexdigest(),
            source,
            now,
            complete,
            len(stream.records) + 1,
            dict(sorted(contents.counts.items())),
            stream.soa_ttl,
            stream.soa.minimum,
            max(largest, stream.soa_ttl),
            ttls,
            sorted(contents.apex_ns),
            contents.apex_ns_ttl,
            parent.ns,
            parent.ns_ttl,
            parent.ds,
            parent.ds_ttl,
        ),
        lines,
    )


def paths(directory: Path, zone: str) -> tuple[Path, Path]:
    """(zone file, what is known of it). A slash in a name stands as %2F."""
    name = _file_name(zone)
    return directory / f"{name}.zone", directory / f"{name}.json"


def also_path(directory: Path, zone: str, form: str) -> Path:
    """Where the zone goes in another form: for octoDNS where that looks for it, for JSON beside what is known of it."""
    return directory / f"{_file_name(zone)}{'.yaml' if form == 'octodns' else f'.rrsets.{form}'}"


def _file_name(zone: str) -> str:
    return (zone or "root").replace("/", "%2F").lstrip(".") or "root"


def write(directory: Path, snapshot: Snapshot, lines: list[str]) -> tuple[Path, Path]:
    """Write both files, replacing those of before. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    zone_file, facts = paths(directory, snapshot.zone)
    write_whole(zone_file, map(str.encode, lines))
    write_whole(facts, [json.dumps(asdict(snapshot), indent=1, sort_keys=True).encode(), b"\n"])
    return zone_file, facts


def read(directory: Path, zone: str) -> Snapshot:
    """The snapshot of a zone, its zone file checked against the digest. Raises SnapshotError."""
    zone_file, facts = paths(directory, zone)
    try:
        text = facts.read_bytes()
        body = zone_file.read_bytes()
    except OSError as error:
        raise SnapshotError(
            f"{error.filename}: {error.strerror}; take one: nameserver migrate snapshot {zone}"
        ) from error
    try:
        values = read_json(text)
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise SnapshotError(f"{facts} has format {values.get('format')!r}, this version reads {FORMAT}")
        snapshot = filled(Snapshot, values)
    except (ValueError, TypeError) as error:
        raise SnapshotError(f"{facts} is not what this command wrote: {error}") from error
    if snapshot.zone != zone:
        raise SnapshotError(f"{facts} is of {snapshot.zone}, not of {zone}")
    if hashlib.sha384(body).hexdigest() != snapshot.digest:
        raise SnapshotError(f"{zone_file} was changed since: its digest is not the one in {facts.name}")
    return snapshot
