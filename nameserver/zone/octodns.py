"""A zone as octoDNS's YamlProvider reads it (octoDNS 1.22, with its defaults): `example.com.yaml`.

    ''                       the apex; other names relative to it, in natural order (host2 before host10)
    - ttl: 3600              a list where a name has several types, by type
      type: MX
      value:                 one value; `values` where there are more
        exchange: mail.example.com.
        preference: 10

Semicolons in texts are written `\\;`, as octoDNS has them (`escaped_semicolons: true`). The SOA and what signers make
are no part of such a file: every provider makes its own.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from nameserver.zone.octodns_values import NoFormError, Shaped, shape
from nameserver.zone.rrset_lines import RRsetText, rrsets_of
from nameserver.zone.yaml_text import Yaml, block_lines

MADE_BY_PROVIDERS = frozenset(
    ("SOA", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD", "TYPE65534")
)  # the last: BIND's notes to itself while it signs
_SINGLE = frozenset(("CNAME", "DNAME"))  # of which octoDNS takes one value
_DIGITS = re.compile(r"([0-9]+)")

NaturalKey = tuple[str | int, ...]


def natural_key(text: str) -> NaturalKey:
    """What sorts as octoDNS wants the keys of a file: runs of digits by their number."""
    return tuple(int(part) if number % 2 else part for number, part in enumerate(_DIGITS.split(text)))


@dataclass(slots=True)
class OctodnsForm:
    """Turns a zone into the parts of such a file, and counts records that it could not turn.

    `without`: by type, and why where only some of that type have no form; `providers`: the SOA and what signers make;
    `joined`: records whose strings octoDNS joins and cuts elsewhere.
    """

    apex: str  # in presentation form, with its final dot
    without: Counter[str] = field(default_factory=Counter)
    providers: int = 0
    joined: Counter[str] = field(default_factory=Counter)

    def owners(self, lines: Iterable[str]) -> Iterator[tuple[NaturalKey, str]]:
        """(its place in the file, text) of each owner, from the lines of a canonical zone file."""
        for owner, rrsets in groupby(rrsets_of(lines), key=lambda rrset: rrset.owner):
            name = self._relative(owner.lower())
            entries = [*self._entries(name, rrsets)]
            if entries:
                value: Yaml = entries[0] if len(entries) == 1 else [*entries]
                yield natural_key(name), "".join(f"{line}\n" for line in block_lines({name: value}))

    def _relative(self, owner: str) -> str:
        return owner.removesuffix(self.apex.lower()).removesuffix(".")

    def _entries(self, name: str, rrsets: Iterable[RRsetText]) -> Iterator[dict[str, Yaml]]:
        for kind, group in groupby(sorted(rrsets, key=lambda rrset: rrset.type), key=lambda rrset: rrset.type):
            same = [*group]
            rdata = [each for rrset in same for each in rrset.rdata]
            if kind in MADE_BY_PROVIDERS:
                self.providers += len(rdata)
                continue
            try:
                if not _can_be_owner(name):
                    raise NoFormError("a name that octoDNS does not take")
                if kind in _SINGLE and len(rdata) > 1:
                    raise NoFormError("several at a name")
                shaped = [shape(kind, each, name) for each in rdata]
            except NoFormError as why:
                self.without[f"{kind} ({why})" if str(why) else kind] += len(rdata)
                continue
            if joined := sum(each.joined for each in shaped):
                self.joined[kind] += joined
            yield _entry(kind, min(rrset.ttl for rrset in same), shaped)


def _entry(kind: str, ttl: int, shaped: list[Shaped]) -> dict[str, Yaml]:
    entry: dict[str, Yaml] = {}
    if any(each.lenient for each in shaped):
        entry["octodns"] = {"lenient": True}
    entry |= {"ttl": ttl, "type": kind}
    values = [_sorted(value) for value in sorted((each.value for each in shaped), key=_place)]
    return entry | ({"value": values[0]} if len(values) == 1 else {"values": values})


def _place(value: Yaml) -> tuple[Yaml, ...]:
    """Where a value stands among others: as octoDNS has it, by its fields in the order of the rdata."""
    fields = value.values() if isinstance(value, dict) else (value,)
    return tuple(repr(field) if isinstance(field, dict) else field for field in fields)


def _sorted(value: Yaml) -> Yaml:
    if not isinstance(value, dict):
        return value
    return {key: _sorted(value[key]) for key in sorted(value, key=natural_key)}


def _can_be_owner(name: str) -> bool:
    """octoDNS has no escapes in names, and decodes internationalised labels, whether they can be decoded or not."""
    return "\\" not in name and all(_is_decodable(label) for label in name.split(".") if label.startswith("xn--"))


def _is_decodable(label: str) -> bool:
    """Whether a label stands for letters and digits, in small letters: nearly what IDNA 2008 has (RFC 5892)."""
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return False
    return not text.isascii() and text == text.lower() and all(each.isalnum() or each == "-" for each in text)
