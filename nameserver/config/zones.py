"""Templates and zones: what a zone does not set comes from its template, the rest from the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nameserver.config import schema
from nameserver.config.access import AccessReader
from nameserver.config.files import is_file
from nameserver.config.model import PullLimits, Remote, ZoneConfig
from nameserver.config.problems import Place, Problems
from nameserver.config.schema import Setting
from nameserver.config.sources import Entry, Tables
from nameserver.config.suggest import did_you_mean, may_be_secret, name_fault, named, shown_file
from nameserver.config.tables import part, read_table
from nameserver.config.values import format_duration
from nameserver.refresh.timers import TimerLimits
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import names
from nameserver.zone.history import HistoryLimits

_Part = TypeVar("_Part", TimerLimits, TransferLimits, PullLimits, HistoryLimits)
_PLACEHOLDER = "{zone}"


@dataclass(slots=True)
class _Settings:
    """The resolved settings of a template or zone, and where each was set (keys as in the file)."""

    fields: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    parts: dict[str, Any] | None = None  # of a ZoneConfig, made once for all zones that set nothing themselves

    def over(self, template: "_Settings") -> "_Settings":
        """These settings, and the template's for all others."""
        return _Settings(template.fields | self.fields, template.places | self.places)


class ZoneReader:
    """Reads all templates and zones."""

    def __init__(self, access: AccessReader, problems: Problems) -> None:
        self._access = access
        self._problems = problems
        self._templates: dict[str, _Settings] = {}
        self._parts: dict[Any, Any] = {}

    def read(self, tables: Tables) -> dict[bytes, ZoneConfig]:
        """Every zone without a fault, by folded wire name."""
        for template, entry in tables.named["template"].items():
            self._templates[template] = self._settings(schema.TEMPLATE, entry)
        zones: dict[bytes, ZoneConfig] = {}
        places: dict[bytes, Place] = {}
        for text, entry in tables.named["zone"].items():
            settings = self._with_template(self._settings(schema.ZONE, entry), entry)
            try:
                name = names.fold(names.from_text(text))
            except ValueError as error:
                self._problems.error(entry.place, name_fault(text, error))
                continue
            if name in places:
                self._problems.error(entry.place, f"is the same zone as the one at {places[name].where()}")
                continue
            places[name] = entry.place
            zones[name] = self._zone(name, settings, entry)
        if not places and not self._problems.errors:
            self._problems.warn(Place(tables.files[0], ()), 'no zone is configured; add a [zone."example.com"] table')
        return zones

    def _settings(self, known: Mapping[str, Setting], entry: Entry) -> _Settings:
        place = entry.place
        fields = read_table(entry.raw, known, place, self._problems)
        for key, name_of in (("primaries", "primaries"), ("also-notify", "also_notify")):
            if name_of in fields:
                fields[name_of] = self._remotes(fields[name_of], place.below(key))
        for key, name_of in (("allow-notify", "allow_notify"), ("allow-transfer", "allow_transfer")):
            if name_of in fields:
                transfers = name_of == "allow_transfer"
                fields[name_of] = self._access.read(fields[name_of], place.below(key), transfers=transfers)
        if "file" in fields:
            fields["file"] = str((place.file.path.parent / fields["file"]).absolute())
        return _Settings(fields, {key: place.below(key) for key in entry.raw})

    def _remotes(self, wanted: tuple[str | None, ...], place: Place) -> tuple[Remote, ...]:
        """None is an element that was reported."""
        found = [self._access.remote(name, place.below(index)) for index, name in enumerate(wanted) if name is not None]
        return tuple(remote for remote in found if remote is not None)

    def _with_template(self, settings: _Settings, entry: Entry) -> _Settings:
        wanted = settings.fields.pop("template", None)
        if "template" in entry.raw and wanted is None:
            return settings  # of the wrong type, and reported
        if wanted is not None and wanted not in self._templates:
            text = f"no {named('template', wanted)} is defined{did_you_mean(wanted, self._templates)}"
            self._problems.error(entry.place.below("template"), text)
            return settings
        template = self._templates.get("default" if wanted is None else wanted)
        if template is None:
            return settings
        return settings.over(template) if settings.places else template

    def _zone(self, name: bytes, settings: _Settings, entry: Entry) -> ZoneConfig:
        fields = dict(settings.fields)
        text = names.to_text(name)
        kind = fields.get("type", "secondary")
        if settings.parts is None:
            self._check_order(settings)
            settings.parts = self._made(settings)
        if "type" in settings.places and "type" not in fields:
            pass  # of an unknown type, and reported
        elif kind == "primary":
            fields["file"] = self._zone_file(text, settings, entry)
            self._refuse("primaries", "a primary zone comes from its file; remove primaries", entry)
            fields.pop("primaries", None)
        else:
            self._check_primaries(settings, entry)
            self._refuse(
                "file", 'only a zone with type = "primary" comes from a file; remove it or set the type', entry
            )
            fields.pop("file", None)
        plain = {key: value for key, value in fields.items() if "." not in key}
        return ZoneConfig(
            name=name,
            text=text,
            **settings.parts,
            **plain,
        )

    def _made(self, settings: _Settings) -> dict[str, Any]:
        """The parts of a zone's configuration that have settings below their names."""
        fields = settings.fields
        return {
            "timers": self._shared(TimerLimits(**part("timers.", fields))),
            "limits": self._shared(TransferLimits(**part("limits.", fields))),
            "pull": self._shared(PullLimits(**part("pull.", fields))),
            "history": self._shared(HistoryLimits(**part("history.", fields))),
        }

    def _shared(self, part: _Part) -> _Part:
        """One object for all equal ones: ten thousand zones under one template need three."""
        shared: _Part = self._parts.setdefault(part, part)
        return shared

    def _refuse(self, key: str, text: str, entry: Entry) -> None:
        """Report a key that the zone itself sets; from a template, which serves zones of both types, it is ignored."""
        if key in entry.raw:
            self._problems.error(entry.place.below(key), text)

    def _check_primaries(self, settings: _Settings, entry: Entry) -> None:
        if "primaries" not in settings.places and not entry.raw.keys() - schema.ZONE.keys():
            self._problems.error(
                entry.place, 'a secondary zone needs primaries = ["NAME"], naming [remote.NAME] tables'
            )

    def _zone_file(self, text: str, settings: _Settings, entry: Entry) -> Path | None:
        wanted: str | None = settings.fields.get("file")
        is_hidden = may_be_secret(str(entry.place.path[-1]))  # as written: `text` is in small letters
        if wanted is None:
            if "file" not in settings.places and not entry.raw.keys() - schema.ZONE.keys():
                example = "NAME.zone" if is_hidden else f"{text}.zone"
                self._problems.error(entry.place, f'a primary zone needs its zone file: file = "{example}"')
            return None
        if _PLACEHOLDER in wanted:
            if "/" in text:
                self._problems.error(entry.place, f"its name has a slash and cannot stand for {_PLACEHOLDER} in file")
                return None
            wanted = wanted.replace(_PLACEHOLDER, text)
        path = Path(wanted)
        if not is_file(path):
            what = "there is no such zone file" if is_hidden else f"there is no zone file: {shown_file(wanted)}"
            self._problems.warn(settings.places["file"], what)
        return path

    def _check_order(self, settings: _Settings) -> None:
        for lower, upper in schema.ORDERED:
            fields = [schema.ZONE[key].field for key in (lower, upper)]
            least, most = (settings.fields.get(name, _DEFAULTS[name]) for name in fields)
            if least > most:
                place = settings.places.get(lower) or settings.places[upper]
                self._problems.error(
                    place, f"{lower} ({format_duration(least)}) is larger than {upper} ({format_duration(most)})"
                )


def _defaults() -> dict[str, Any]:
    parts = {
        "timers": TimerLimits(), "limits": TransferLimits(), "pull": PullLimits(), "history": HistoryLimits(),
    }  # fmt: skip
    dotted = [setting.field for setting in schema.ZONE.values() if "." in setting.field]
    return {name: getattr(parts[name.split(".")[0]], name.split(".")[1]) for name in dotted}


_DEFAULTS = _defaults()
