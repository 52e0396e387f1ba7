"""The primaries that scenarios share, each a Knot with one kind of zone: made when first asked for."""

from bench import zones
from bench.lab import Lab
from support.peers import KnotPrimary, Primary

MIXED, SIGNED, LARGE = "mixed.test", "signed.test", "large.test"


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
