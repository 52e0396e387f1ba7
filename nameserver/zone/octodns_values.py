"""Rdata in presentation form as octoDNS writes values in its YAML files (octoDNS 1.22).

octoDNS checks each value more narrowly than DNS does. What it would refuse and yet keep as it is may be told to it as
`lenient`; what it would change, or cannot write, has no form.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from nameserver.zone.yaml_text import Yaml

_CHUNK = 255  # octets at which octoDNS cuts a long text into strings
_TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_ESCAPE = re.compile(r"\\(\d{3}|.)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TARGET = re.compile(r"(?:(?!-)[-_a-z0-9]{1,63}(?<!-)\.){2,}")  # what octoDNS takes for a domain name
_SERVICE = re.compile(r"(?:\*|_[^.]+)\.[^.]+")  # how it wants the owners of SRV and URI to begin
_LOC_DEFAULTS = ["1", "10000", "10"]  # metres: size, horizontal and vertical precision (RFC 1876 §2)
# Parameters of HTTPS and SVCB (RFC 9460 §14.3.2): which octoDNS knows by name, which it can by number.
_PARAMS = frozenset(("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"))
_PARAM_NUMBERS = {"dohpath": 7, "ohttp": 8}
_PLAIN_PARAM = re.compile(r'[^"\\\s]*')


class NoFormError(ValueError):
    """octoDNS has no form for this: why, in a few words; "" where that goes for the whole type."""


class Shaped(NamedTuple):
    """A value. `lenient`: octoDNS's checks refuse it. `joined`: its strings are not cut where octoDNS cuts them."""

    value: Yaml
    lenient: bool = False
    joined: bool = False


_Shape = Callable[[str, str], Shaped]  # of the rdata and the owner relative to the zone


def shape(rdtype: str, rdata: str, name: str) -> Shaped:
    """The value of one record. `rdata` as `rdata_text` writes it. Raises NoFormError."""
    of_type = _SHAPES.get(rdtype)
    if of_type is None:
        raise NoFormError("")
    if rdata.startswith("\\# "):
        raise NoFormError("rdata in the generic form")
    return of_type(rdata, name)


def _address(rdata: str, _: str) -> Shaped:
    return Shaped(rdata)


def _target(rdata: str, _: str) -> Shaped:
    target = rdata.lower()
    return Shaped(target, not _is_target(target))


def _is_target(text: str) -> bool:
    return _TARGET.fullmatch(text) is not None


def _text(rdata: str, _: str) -> Shaped:
    strings = [_octets(each) for each in _STRING.findall(rdata)]
    text = "".join(strings)
    if not text.isascii():
        raise NoFormError("octets beyond ASCII")
    if '" "' in text:  # octoDNS takes this for the end of one string and the beginning of the next
        raise NoFormError("quotes in a text that look like the end of a string")
    sizes = [len(each) for each in strings]
    joined = any(size != _CHUNK for size in sizes[:-1]) or (len(sizes) > 1 and not sizes[-1])
    written = text.replace(";", "\\;")
    if text.startswith('"'):
        written = f'"{written}"'  # one pair is taken off
    return Shaped(written, "\\;" in text, joined)


def _octets(presentation: str) -> str:
    """The octets of a string, each as the character of its number."""
    if "\\" not in presentation:
        return presentation
    return _ESCAPE.sub(lambda found: chr(int(found[1])) if len(found[1]) == 3 else found[1], presentation)


def _body(token: str) -> str:
    """A quoted string without its quotes, its escapes kept: octoDNS writes them as they are."""
    return token[1:-1] if token.startswith('"') else token


def _numbered(numbers: tuple[str, ...], last: str) -> Callable[[str], tuple[dict[str, Yaml], str]]:
    """For types of some numbers with one field behind them; in octoDNS's order, which is the alphabet's."""

    def take(rdata: str) -> tuple[dict[str, Yaml], str]:
        *heads, tail = rdata.split(" ", len(numbers))
        fields: dict[str, Yaml] = {name: int(text) for name, text in zip(numbers, heads, strict=True)}
        fields[last] = tail
        return fields, tail

    return take


_mx_fields = _numbered(("preference",), "exchange")
_srv_fields = _numbered(("priority", "weight", "port"), "target")
_uri_fields = _numbered(("priority", "weight"), "target")
_ds_fields = _numbered(("key_tag", "algorithm", "digest_type"), "digest")
_sshfp_fields = _numbered(("algorithm", "fingerprint_type"), "fingerprint")
_tlsa_fields = _numbered(("certificate_usage", "selector", "matching_type"), "certificate_association_data")


def _mx(rdata: str, _: str) -> Shaped:
    fields, exchange = _mx_fields(rdata.lower())
    return Shaped(fields, not _is_server(exchange))


def _is_server(target: str) -> bool:
    return target == "." or _is_target(target)


def _srv(rdata: str, name: str) -> Shaped:
    fields, target = _srv_fields(rdata.lower())
    return Shaped(fields, not _is_server(target) or not _SERVICE.match(name))


def _uri(rdata: str, name: str) -> Shaped:
    fields, target = _uri_fields(rdata)
    if target != target.lower():
        raise NoFormError("capital letters in a URI, which octoDNS makes small")
    fields["target"] = _body(target)
    return Shaped(fields, not _SERVICE.match(name) or not fields["target"])


def _caa(rdata: str, _: str) -> Shaped:
    flags, tag, value = rdata.split(" ", 2)
    return Shaped({"flags": int(flags), "tag": tag, "value": _body(value)})


def _ds(rdata: str, _: str) -> Shaped:
    fields, _digest = _ds_fields(rdata)
    return Shaped(fields)


def _sshfp(rdata: str, _: str) -> Shaped:
    fields, fingerprint = _sshfp_fields(rdata)
    known = fields["algorithm"] in (1, 2, 3, 4) and len(fingerprint) == {1: 40, 2: 64}.get(
        int(str(fields["fingerprint_type"]))
    )
    return Shaped(fields, not known)


def _tlsa(rdata: str, _: str) -> Shaped:
    fields, _data = _tlsa_fields(rdata)
    usage, selector, matching = (int(str(fields[name])) for name in list(fields)[:3])
    return Shaped(fields, usage > 3 or selector > 1 or matching > 2)


def _naptr(rdata: str, _: str) -> Shaped:
    order, preference, flags, service, regexp, replacement = _TOKEN.findall(rdata)
    fields: dict[str, Yaml] = {
        "order": int(order),
        "preference": int(preference),
        "flags": _body(flags).upper(),  # as octoDNS does; they have no case (RFC 3403 §4.1)
        "service": _body(service),
        "regexp": _body(regexp),
        "replacement": replacement.lower(),
    }
    return Shaped(fields, fields["flags"] not in ("S", "A", "U", "P"))


def _loc(rdata: str, _: str) -> Shaped:
    words = rdata.split(" ")
    sizes = [word.rstrip("m") for word in words[8:]]
    sizes += _LOC_DEFAULTS[len(sizes) - 1 :]
    altitude, size, horizontal, vertical = map(float, sizes)
    return Shaped(
        {
            "lat_degrees": int(words[0]), "lat_minutes": int(words[1]), "lat_seconds": float(words[2]),
            "lat_direction": words[3], "long_degrees": int(words[4]), "long_minutes": int(words[5]),
            "long_seconds": float(words[6]), "long_direction": words[7], "altitude": altitude, "size": size,
            "precision_horz": horizontal, "precision_vert": vertical,
        }
    )  # fmt: skip


def _openpgpkey(rdata: str, _: str) -> Shaped:
    return Shaped(rdata.replace(" ", ""))


def _svcb(rdata: str, _: str) -> Shaped:
    priority, target, *rest = _TOKEN.findall(rdata)
    params: dict[str, Yaml] = {}
    for each in rest:
        key, equals, quoted = each.partition("=")
        key = _param_key(key)
        value = _body(quoted)
        if not _PLAIN_PARAM.fullmatch(value):
            raise NoFormError("a parameter with escapes")
        if not equals:
            params[key] = None
        elif key in ("alpn", "ipv4hint", "ipv6hint"):
            params[key] = [*value.split(",")]
        elif key == "mandatory":
            params[key] = [_param_key(name) for name in value.split(",")]
        else:
            params[key] = int(value) if key == "port" else value
    fields: dict[str, Yaml] = {"svcpriority": int(priority), "targetname": target.lower(), "svcparams": params}
    return Shaped(fields, not _is_server(target.lower()) or (priority == "0" and bool(params)))


def _param_key(name: str) -> str:
    if name in _PARAM_NUMBERS:
        return f"key{_PARAM_NUMBERS[name]}"
    if name not in _PARAMS and not name.startswith("key"):
        raise NoFormError("a parameter that octoDNS does not know")
    return name


_SHAPES: dict[str, _Shape] = {
    "A": _address,
    "AAAA": _address,
    "CAA": _caa,
    "CNAME": _target,
    "DNAME": _target,
    "DS": _ds,
    "HTTPS": _svcb,
    "LOC": _loc,
    "MX": _mx,
    "NAPTR": _naptr,
    "NS": _target,
    "OPENPGPKEY": _openpgpkey,
    "PTR": _target,
    "SPF": _text,
    "SRV": _srv,
    "SSHFP": _sshfp,
    "SVCB": _svcb,
    "TLSA": _tlsa,
    "TXT": _text,
    "URI": _uri,
}
