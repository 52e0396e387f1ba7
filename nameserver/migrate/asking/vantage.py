"""Where was asked from: what is measured holds for that place, and access lists may treat others otherwise."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address

from nameserver.config.model import Endpoint
from nameserver.migrate.report import Finding, Level


def vantage(asked: Iterable[Endpoint], sources: Iterable[str]) -> str:
    """Our addresses as those servers see them, unless something on the way translates: "192.0.2.7 and 2001:db8::7"."""
    return " and ".join(_addresses(asked, sources))


def told(asked: Iterable[Endpoint], sources: Iterable[str]) -> str:
    """The same as a sentence; empty where there is no way to any of them."""
    asked = list(asked)
    found = _addresses(asked, sources)
    if not found:
        return ""
    translated = any(map(_public, (endpoint.host for endpoint in asked))) and not any(map(_public, found))
    nat = ", behind an address that is translated: the servers see another" if translated else ""
    return f"Asked from {' and '.join(found)}{nat}."


def odd_sources(asked: Iterable[Endpoint], sources: Iterable[str]) -> list[Finding]:
    """A warning for each `--source` that no answer of the public servers asked can come back to."""
    found = []
    for source in sources:
        family = ":" in source
        public = sorted({each.host for each in asked if (":" in each.host) == family and _public(each.host)})
        if not public or _public(source):
            continue
        address = ip_address(source)
        kind = "a loopback" if address.is_loopback else "a link-local" if address.is_link_local else "a private"
        more = f" and {len(public) - 1} more" if len(public) > 1 else ""
        text = (
            f"--source {source} is {kind} address, and {public[0]}{more} public: "
            f"answers do not come back to it, or a translator shows the servers another address"
        )
        found.append(Finding(Level.WARNING, "source-private", text, "Give a public address of this machine, or none."))
    return found


def _addresses(asked: Iterable[Endpoint], sources: Iterable[str]) -> list[str]:
    given = dict.fromkeys(sources)
    seen = dict(given)
    for host, port in sorted(asked):
        if any((":" in source) == (":" in host) for source in given):
            continue
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):  # no way to it: others tell
            probe.connect((host, port))
            seen[str(probe.getsockname()[0])] = None
    return list(seen)


def _public(host: str) -> bool:
    return ip_address(host).is_global
