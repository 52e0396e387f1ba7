"""Primaries whose zones are changed by dynamic update, from loopback: BIND takes one in under a millisecond."""

from support.peers import BindPrimary, KnotPrimary


class UpdatableBind(BindPrimary):
    """Its journal is made from the updates."""

    def configure(self) -> None:
        super().configure()
        file = self.directory / "named.conf"
        text = file.read_text().replace("ixfr-from-differences yes;", "")
        file.write_text(text.replace("type primary;", "type primary; allow-update { 127.0.0.0/8; };"))


class UpdatableKnot(KnotPrimary):
    """It gathers updates for some ten milliseconds."""

    def configure(self) -> None:
        super().configure()
        file = self.directory / "knot.conf"
        rule = "acl:\n  - id: change\n    address: 127.0.0.0/8\n    action: update\n"
        file.write_text(file.read_text().replace("acl:\n", rule, 1).replace("acl: [", "acl: [change, "))
