"""Single values of the configuration: from what TOML gives to what the daemon uses.

Every converter takes a raw TOML value and returns the converted one, or raises `BadValue` with a sentence that says
what was expected. They know nothing of files, lines or other keys.
"""

import base64
import math
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from nameserver.config.model import Endpoint
from nameserver.config.suggest import is_old_word, nearest, shown

Convert = Callable[[object], Any]
Fault = tuple[tuple[str | int, ...], str]

DNS_PORT = 53
TLS_PORT = 853  # RFC 7858 §3.1
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MOST_SECONDS = 1e12  # no duration of ours comes near; beyond it arithmetic and words fail
_BYTES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_FOLDED_BYTES = {unit.lower(): factor for unit, factor in _BYTES.items()}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_ZERO_BITS = "set bits right of the prefix"


class BadValue(ValueError):
    """A value cannot be used. `faults` are (path below the value, sentence) pairs: a list may hold several.

    `usable`: of a list, the elements without a fault, each in its place, None in those of the others.
    """

    def __init__(
        self, text: str = "", faults: list[Fault] | None = None, usable: tuple[Any, ...] | None = None
    ) -> None:
        self.faults: list[Fault] = [((), text)] if faults is None else faults
        self.usable = usable
        super().__init__("; ".join(sentence for _, sentence in self.faults))


def type_name(value: object) -> str:
    """What kind of TOML value this is, for 'expected …, got …'."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def string(value: object) -> str:
    """Any text on one line."""
    if not isinstance(value, str):
        raise BadValue(f"expected a string, got {type_name(value)}")
    if not value.isprintable():
        raise BadValue("holds a control character; write plain text on one line")
    return value


def non_empty(value: object) -> str:
    """Text that is not empty."""
    text = string(value)
    if not text.strip():
        raise BadValue("must not be empty")
    return text


def short_text(longest: int) -> Convert:
    """Text of at most `longest` bytes in UTF-8 (a TXT string holds 255, RFC 1035 §3.3)."""

    def convert(value: object) -> str:
        text = string(value)
        if len(text.encode()) > longest:
            raise BadValue(f"is longer than {longest} bytes")
        return text

    return convert


def boolean(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise BadValue(f"expected true or false, got {type_name(value)}")
    return value


def integer(least: int, most: int) -> Convert:
    """A whole number in a range."""

    def convert(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValue(f"expected a whole number, got {type_name(value)}")
        if not least <= value <= most:
            raise BadValue(f"expected {least} to {most}, got {_figure(value)}")
        return value

    return convert


def number(least: float, most: float) -> Convert:
    """A number in a range."""

    def convert(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BadValue(f"expected a number, got {type_name(value)}")
        if not least <= value <= most:  # also false for nan
            raise BadValue(f"expected {least:g} to {most:g}, got {_figure(value)}")
        return float(value)

    return convert


def _figure(value: float) -> str:
    """A number for an error. Python refuses to print integers of thousands of digits, which TOML can hold."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
    return f"{value:g}" if math.isfinite(value) else "no finite number"


def choice(*known: str) -> Convert:
    """One of a few words."""

    def convert(value: object) -> str:
        text = string(value)
        if text not in known:
            listed = ", ".join(f'"{word}"' for word in known)
            got = "" if is_old_word(text) else f", got {shown(text)}"
            meant = nearest(text, known)
            raise BadValue(f"expected one of {listed}{got}" + (f', did you mean "{meant}"?' if meant else ""))
        return text

    return convert


def duration(least: float, most: float) -> Convert:
    """Seconds from "90s", "15m", "1h30m", "7d", or from a plain number of seconds."""

    def convert(value: object) -> float:
        seconds = _parse_duration(value)
        if not least <= seconds <= most:
            raise BadValue(
                f"expected {format_duration(least)} to {format_duration(most)}, got {format_duration(seconds)}"
            )
        return seconds

    return convert


def _parse_duration(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not -_MOST_SECONDS < value < _MOST_SECONDS:  # also false for nan
            raise BadValue(f'expected a duration such as "15m", got {_figure(value)}')
        return float(value)
    if not isinstance(value, str):
        raise BadValue(f'expected a duration such as "15m", got {type_name(value)}')
    text = value.replace(" ", "")
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        raise BadValue(f'expected a duration such as "90s", "15m", "1h30m" or "7d", got {shown(value)}')
    return min(sum(float(amount) * _SECONDS[unit] for amount, unit in parts), _MOST_SECONDS)


def format_duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps them short: 5400 gives "1.5h"."""
    for unit in ("w", "d", "h", "m"):
        if seconds >= _SECONDS[unit] and round(seconds / _SECONDS[unit], 1) * _SECONDS[unit] == seconds:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"


def size(least: int, most: int) -> Convert:
    """Bytes from "64MiB", "10kB", or from a plain number of bytes."""

    def convert(value: object) -> int:
        amount = _parse_size(value)
        if not least <= amount <= most:
            raise BadValue(f"expected {least} to {most} bytes, got {_figure(amount)}")
        return amount

    return convert


def _parse_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise BadValue(f'expected a size such as "64MiB", got {type_name(value)}')
    match = _SIZE.fullmatch(value.strip())
    factor = _FOLDED_BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        hint = (
            f', did you mean "{match[1]}{match[2].upper()}iB"?' if match and match[2].upper() in ("K", "M", "G") else ""
        )
        raise BadValue(f'expected a size such as "512KiB", "64MiB" or "1GiB", got {shown(value)}{hint}')
    amount = float(match[1]) * factor
    return int(amount) if math.isfinite(amount) else 10**400


def list_of(item: Convert, *, example: str, least: int = 0, unique: bool = False) -> Convert:
    """A list, each element converted by `item`; every bad element is reported. `unique`: none may stand twice."""

    def convert(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise BadValue(f"expected a list such as {example}, got {type_name(value)}")
        if len(value) < least:
            raise BadValue(f"must not be empty; write for instance {example}")
        converted: list[Any] = []
        faults: list[Fault] = []
        for index, element in enumerate(value):
            try:
                usable = item(element)
            except BadValue as bad:
                faults += [((index, *below), text) for below, text in bad.faults]
                usable = None
            if unique and usable is not None and usable in converted:
                faults.append(((index,), "stands twice in this list"))
                usable = None
            converted.append(usable)
        if faults:
            raise BadValue(faults=faults, usable=tuple(converted))
        return tuple(converted)

    return convert


def one_or_two(item: Convert, *, example: str) -> Convert:
    """One value alone or a list of one or two, as a tuple."""
    several = list_of(item, example=example, least=1, unique=True)

    def convert(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            return (item(value),)
        if len(value) > 2:
            raise BadValue(f"expected one or two such as {example}, got {len(value)}")
        return several(value)  # type: ignore[no-any-return]

    return convert


def address(value: object) -> IPv4Address | IPv6Address:
    """A literal IPv4 or IPv6 address; names are never looked up."""
    text = non_empty(value)
    try:
        parsed = ip_address(text.strip())
    except ValueError:
        raise BadValue(f"expected an IPv4 or IPv6 address, got {shown(text)}") from None
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            raise BadValue(f"{shown(text)} names an interface, which is not supported; use a global address")
        if parsed.ipv4_mapped is not None:
            raise BadValue(f'is an IPv4 address in IPv6 clothes; write "{parsed.ipv4_mapped}"')
    return parsed


def host(value: object) -> str:
    """The same, as text in its shortest form."""
    return str(address(value))


def endpoint(default_port: int = DNS_PORT) -> Convert:
    """An address with an optional port.

    Forms: "192.0.2.1", "192.0.2.1:53", "192.0.2.1#53", "2001:db8::1", "[2001:db8::1]:53".
    """

    def convert(value: object) -> Endpoint:
        text = non_empty(value).strip()
        where, port = split_port(text)
        if where == "*":
            raise BadValue('expected an address; for every address write both "0.0.0.0" and "::"')
        return Endpoint(host(where), default_port if port is None else parse_port(port))

    return convert


def split_port(text: str) -> tuple[str, str | None]:
    """An address or name with an optional port: (host without brackets, the port's text or None). Raises BadValue."""
    if "#" in text:  # BIND's way
        where, _, port = text.partition("#")
        return where.removeprefix("[").removesuffix("]"), port
    if "@" in text:
        where, _, port = text.partition("@")
        raise BadValue(
            f"the port follows a colon: write {shown(f'[{where}]:{port}' if ':' in where else f'{where}:{port}')}"
        )
    if text.startswith("["):
        where, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise BadValue(f'expected "[address]:port", got {shown(text)}')
        return where, rest[1:] if rest else None
    if text.count(":") == 1:
        where, _, port = text.partition(":")
        return where, port
    return text, None  # IPv4 or IPv6 without a port


def parse_port(text: str) -> int:
    """A port's number. Raises BadValue."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:6]) <= 65535:
        raise BadValue(f"expected a port from 1 to 65535, got {shown(text)}")
    return int(text)


def peer(value: object) -> Endpoint:
    """Where to reach a remote: an address that one host can have. Port 0: the usual one, which depends on TLS."""
    parsed: Endpoint = endpoint(0)(value)
    where = ip_address(parsed.host)
    if where.is_unspecified or where.is_multicast:
        raise BadValue(f"{where} is no address of a host")
    return parsed


def pin(value: object) -> bytes:
    """The SHA-256 digest of a public key (RFC 7858 §4.2), in base64."""
    text = non_empty(value).strip()
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise BadValue("expected the SHA-256 of a public key: 44 characters of base64")
    return digest


def host_name(value: object) -> str:
    """The name of a host, as certificates have it."""
    text = non_empty(value).strip().removesuffix(".").lower()
    if not _HOST_NAME.fullmatch(text):
        raise BadValue(f'expected the name of a host such as "ns1.example.net", got {shown(text)}')
    return text


def http_endpoint(value: object) -> Endpoint | None:
    """Where the HTTP server listens; "" switches it off."""
    if value == "":
        return None
    parsed: Endpoint = endpoint(9530)(value)
    return parsed


def network(value: object) -> IPv4Network | IPv6Network | None:
    """A network or a single address of an access row; None for "any"."""
    text = non_empty(value).strip()
    if text == "any":
        return None
    try:
        parsed = ip_network(text)
    except ValueError:
        raise BadValue(_network_fault(text)) from None
    base = parsed.network_address
    if isinstance(base, IPv6Address) and base.scope_id is not None:
        raise BadValue(f"{shown(text)} names an interface, which is not supported")
    if isinstance(base, IPv6Address) and base.ipv4_mapped is not None and parsed.prefixlen >= 96:
        raise BadValue(f'is an IPv4 network in IPv6 clothes; write "{base.ipv4_mapped}/{parsed.prefixlen - 96}"')
    return parsed


def network_not_any(value: object) -> IPv4Network | IPv6Network:
    """A network or a single address, in a list where "any" would mean nothing."""
    parsed = network(value)
    if parsed is None:
        raise BadValue('"any" is no network; name addresses or networks')
    return parsed


def seconds(least: int, most: int) -> Convert:
    """A duration of whole seconds."""
    convert_duration = duration(float(least), float(most))

    def convert(value: object) -> int:
        parsed: float = convert_duration(value)
        if parsed != int(parsed):
            raise BadValue(f"expected whole seconds, got {shown(str(value))}")
        return int(parsed)

    return convert


def _network_fault(text: str) -> str:
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        return f'expected an address, a network such as "192.0.2.0/24", or "any", got {shown(text)}'
    return f'{shown(text)} has {_ZERO_BITS}; write "{loose}" or a single address'


def identifier(value: object) -> bytes:
    """NSID (RFC 5001 §2.3: opaque): text, or bytes written as "0x…"."""
    text = string(value)
    if text.startswith("0x"):
        try:
            raw = bytes.fromhex(text[2:])
        except ValueError:
            raise BadValue('after "0x" only pairs of hexadecimal digits may follow') from None
    else:
        raw = text.encode()
    if len(raw) > 128:
        raise BadValue("is longer than 128 bytes")
    return raw


def table(value: object, *, example: str) -> dict[str, Any]:
    """A TOML table."""
    if not isinstance(value, dict):
        raise BadValue(f"expected a table {example}, got {type_name(value)}")
    return value
