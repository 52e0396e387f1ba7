"""How a server is written on the command line, and what it stands for."""

from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.name

from nameserver.config.model import Endpoint
from nameserver.config.values import DNS_PORT, BadValue, parse_port, peer, split_port

__all__ = ["BadValue", "Server", "parse_server"]


@dataclass(frozen=True, slots=True)
class Server:
    """A server as somebody wrote it: an `endpoint`, or a `name` that still has to be looked up."""

    text: str
    port: int
    endpoint: Endpoint | None = None
    name: dns.name.Name | None = None

    def __str__(self) -> str:
        return self.text


def parse_server(text: str, default_port: int = DNS_PORT) -> Server:
    """Read a server: an address or a name, with a port or without.

    Forms: `192.0.2.1`, `192.0.2.1:5353`, `192.0.2.1#5353`, `[2001:db8::1]:53`, `2001:db8::1`, `ns1.example.net`,
    `ns1.example.net:5353`; an `@` in front is taken, as dig has it. Raises BadValue.
    """
    written = text.strip().removeprefix("@")
    if not written:
        raise BadValue('expected a server such as "192.0.2.1", "[2001:db8::1]:53" or "ns1.example.net"')
    host, mark = split_port(written)
    port = default_port if mark is None else parse_port(mark)
    try:
        ip_address(host)
    except ValueError:
        return _named(host, port)
    endpoint = Endpoint(peer(f"[{host}]" if ":" in host else host).host, port)
    return Server(str(endpoint), port, endpoint)


def _named(host: str, port: int) -> Server:
    if host.replace(".", "").isdigit() or ":" in host:
        raise BadValue(f'"{host}" looks like an address and is none')
    try:
        name = dns.name.from_text(host)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadValue(f'"{host}" is neither an address nor a name: {error}') from None
    shown = host.rstrip(".") or "."
    return Server(shown if port == DNS_PORT else f"{shown}:{port}", port, None, name)
