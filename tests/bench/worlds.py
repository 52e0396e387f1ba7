"""The primaries that scenarios share, each with one kind of zone: made when first asked for."""

import socket
from dataclasses import dataclass

import dns.update
from bench import zones
from bench.failed import Failed
from bench.lab import Lab, serial_in
from bench.queries import wire_name
from bench.sweep import Sweep
from bench.updatable import UpdatableBind
from floods.primary import notify
from support.ask import LOOPBACK
from support.peers import KnotPrimary, Primary

MIXED, SIGNED, LARGE = "mixed.test", "signed.test", "large.test"
CHANGING, CHANGING_MANY = "changing.test", "changing-many.test"
ASKED, WHOLE = "asked.test", "whole.test"
PATIENCE = 60.0  # seconds that a primary may take over one thing


class WholeKnot(KnotPrimary):
    """Keeps no history: every change of a zone is transferred whole."""

    def configure(self) -> None:
        super().configure()
        file = self.directory / "knot.conf"
        text = file.read_text().replace("zonefile-load: difference", "zonefile-load: whole")
        file.write_text(text.replace("journal-content: changes", "journal-content: none"))


def mixed(lab: Lab) -> dict[str, int]:
    """The zone that is asked everything, by the port of its primary."""
    text = lambda: zones.mixed(MIXED, lab.sizes.records)  # noqa: E731
    return {MIXED: lab.primary("mixed", lambda: KnotPrimary({MIXED: text()})).port}


def signed(lab: Lab) -> dict[str, int]:
    """A fifth of the names, signed: the records are as many again."""

    def make() -> Primary:
        text = zones.large(SIGNED, lab.sizes.records // 5)
        return KnotPrimary({SIGNED: zones.signed(SIGNED, text, lab.directory)})

    return {SIGNED: lab.primary("signed", make).port}


def large(lab: Lab) -> dict[str, int]:
    """The zone that is transferred, to those who have the lab's key."""

    def make() -> Primary:
        return KnotPrimary({LARGE: zones.large(LARGE, lab.sizes.many_records)}, transfer_key=lab.key)

    return {LARGE: lab.primary("large", make).port}


def large_records(lab: Lab) -> int:
    """How many records that zone has."""
    hosts = zones.hosts_of_large(lab.sizes.many_records)
    return len(zones.head(LARGE, 1)) - 2 + hosts + (hosts + 2) // 3


def changing(lab: Lab) -> Primary:
    """Two zones that take updates."""

    def make() -> Primary:
        sizes = {CHANGING: lab.sizes.records, CHANGING_MANY: lab.sizes.many_records}
        return UpdatableBind({zone: zones.large(zone, records) for zone, records in sizes.items()})

    return lab.primary("changing", make)


def whole(lab: Lab) -> Primary:
    """A zone to ask for, and one that is transferred whole whenever it changes."""

    def make() -> Primary:
        sizes = {ASKED: lab.sizes.records, WHOLE: lab.sizes.many_records}
        return WholeKnot({zone: zones.large(zone, records) for zone, records in sizes.items()})

    return lab.primary("whole", make)


def change_whole(lab: Lab) -> int:
    """The serial of a new version of that zone, which the primary has and tells nobody of."""
    primary = whole(lab)
    serial = (primary.serial(WHOLE) or 0) + 1
    primary.update(WHOLE, zones.large(WHOLE, lab.sizes.many_records, serial))
    return serial


@dataclass
class Many:
    """Many small zones at one primary, all with the same serial."""

    primary: KnotPrimary
    names: list[str]
    serial: int = 1

    def change(self) -> None:
        """A new version of each. Nobody is told."""
        self.serial += 1
        for name in self.names:
            self.primary.write(name, zones.small(name, self.serial))
        self.primary.run("knotc", "-c", str(self.primary.directory / "knot.conf"), "zone-reload")
        with Sweep(self.primary.port) as primary:
            primary.until(self.names, self.serial, PATIENCE * 5)


def many(lab: Lab) -> Many:
    """They are made when first asked for."""

    def make() -> Primary:
        names = [f"zone{number:05}.test" for number in range(lab.sizes.zones)]
        return KnotPrimary({name: zones.small(name, 1) for name in names})

    primary = lab.primary("many", make)
    assert isinstance(primary, KnotPrimary)
    return lab.once("many", lambda: Many(primary, list(primary.zones)))


class Updater:
    """Dynamic updates of one zone at its primary, over one socket."""

    def __init__(self, port: int, zone: str) -> None:
        self._zone = zone
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((LOOPBACK, port))
        self._socket.settimeout(PATIENCE)

    def message(self, number: int) -> bytes:
        """An update of one record."""
        update = dns.update.UpdateMessage(self._zone)
        update.replace("changed", 300, "TXT", f'"{number}"')
        return update.to_wire()

    def change(self, message: bytes) -> None:
        """Sends it; returns once the primary has made it."""
        self._socket.send(message)
        if self._socket.recv(512)[3] & 15:
            raise Failed("the primary refused an update")

    def serial(self) -> int:
        """The primary's."""
        question = b"\0\0\0\0\0\x01\0\0\0\0\0\0" + wire_name(self._zone) + b"\0\x06\0\x01"
        self._socket.send(question)
        return serial_in(self._socket.recv(4096), len(question))

    def __enter__(self) -> "Updater":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Notifier:
    """NOTIFYs to one server; what it replies is not waited for."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.connect((LOOPBACK, port))

    def tell(self, zone: str) -> None:
        self._socket.send(notify(zone))

    def __enter__(self) -> "Notifier":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
