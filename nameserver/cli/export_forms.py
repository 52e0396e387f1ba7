"""The forms in which `nameserver export` writes a zone: each is made of the canonical zone file as that comes."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nameserver.telemetry.words import plural

ZONE, JSON, OCTODNS = FORMATS = ("zone", "json", "octodns")
_OWNERS_AT_ONCE = 50_000  # kept in memory while they are sorted
_MOST_RUNS = 64  # files open at once; larger zones are sorted in larger runs
_PIECE = 256 * 1024  # characters after which a piece ends


@dataclass(slots=True)
class Form:
    """A zone on its way out. What is said of it is known when all of `pieces` was taken."""

    pieces: Iterator[bytes]

    def facts(self) -> dict[str, object]:
        """What `--json` adds."""
        return {}

    def notes(self) -> list[str]:
        """What is left out because it has no place in the form."""
        return []

    def findings(self) -> list[str]:
        """What the zone has and the form has not."""
        return []


class _Octodns(Form):
    def __init__(self, zone: str, records: int, pieces: Iterator[bytes], spill: Path | None) -> None:
        from nameserver.store.sorted_texts import in_order
        from nameserver.zone.octodns import OctodnsForm

        self._made = OctodnsForm(f"{zone.removesuffix('.')}.")
        at_once = max(_OWNERS_AT_ONCE, records // _MOST_RUNS + 1)
        self._owners = in_order(self._made.owners(_lines(pieces)), at_once, spill)
        self._where = spill or Path(tempfile.gettempdir())
        super().__init__(_pieces(self._file()))

    def _file(self) -> Iterator[str]:
        yield "---\n"
        try:
            first = next(self._owners, None)
        except OSError as error:  # by now everything was put aside
            raise OSError(error.errno, f"the zone cannot be sorted in {self._where}: {error.strerror}") from error
        yield "{}\n" if first is None else first
        yield from self._owners

    def facts(self) -> dict[str, object]:
        made = self._made
        return {
            "made_by_providers": made.providers,
            "left_out": dict(sorted(made.without.items())),
            "joined": dict(sorted(made.joined.items())),
        }

    def notes(self) -> list[str]:
        number = plural(self._made.providers, "record")
        return [f"left out, as every provider makes its own: the SOA and what signers make ({number})"]

    def findings(self) -> list[str]:
        found = []
        if self._made.without:
            found.append(f"left out, as octoDNS has no form for it (a sync deletes it): {_counted(self._made.without)}")
        if self._made.joined:
            told = _counted(self._made.joined)
            found.append(f"texts of several strings, which octoDNS joins and cuts at 255 octets: {told}")
        return found


def made(form: str, zone: str, serial: int, records: int, pieces: Iterator[bytes], spill: Path | None) -> Form:
    """The zone in one of `FORMATS`. `pieces`: of its canonical zone file; `spill`: where to put aside what is sorted.

    Taking the pieces raises what taking those of the zone file raises, and OSError where there is no room.
    """
    if form == ZONE:
        return Form(pieces)
    if form == OCTODNS:
        return _Octodns(zone, records, pieces, spill)
    from nameserver.zone.rrset_lines import json_lines

    return Form(_pieces(json_lines(_lines(pieces), zone, serial)))


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items()))


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a text that comes in pieces, which may end anywhere."""
    rest = ""
    for piece in pieces:
        lines = (rest + piece.decode("ascii")).split("\n")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    gathered: list[str] = []
    size = 0
    for text in texts:
        gathered.append(text)
        size += len(text)
        if size >= _PIECE:
            yield "".join(gathered).encode("ascii")
            gathered, size = [], 0
    yield "".join(gathered).encode("ascii")
