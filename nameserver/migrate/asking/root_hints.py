"""Root hints: where the walk down the tree begins."""

from ipaddress import ip_address

from nameserver.config.model import Endpoint

# The root servers' addresses, IPv4 and IPv6 (IANA's root hints; they change once in years).
ROOTS: dict[str, tuple[str, str]] = {
    "a": ("198.41.0.4", "2001:503:ba3e::2:30"),
    "b": ("170.247.170.2", "2801:1b8:10::b"),
    "c": ("192.33.4.12", "2001:500:2::c"),
    "d": ("199.7.91.13", "2001:500:2d::d"),
    "e": ("192.203.230.10", "2001:500:a8::e"),
    "f": ("192.5.5.241", "2001:500:2f::f"),
    "g": ("192.112.36.4", "2001:500:12::d0d"),
    "h": ("198.97.190.53", "2001:500:1::53"),
    "i": ("192.36.148.17", "2001:7fe::53"),
    "j": ("192.58.128.30", "2001:503:c27::2:30"),
    "k": ("193.0.14.129", "2001:7fd::1"),
    "l": ("199.7.83.42", "2001:500:9f::42"),
    "m": ("202.12.27.33", "2001:dc3::35"),
}


def read_root_hints(text: str, port: int) -> tuple[Endpoint, ...]:
    """The addresses of a root hints file: its A and AAAA records, whatever else stands there.

    A line may also be a bare address, or one with a port (`127.0.0.1:5300`). Raises ValueError where there is none.
    """
    found: list[Endpoint] = []
    for line in text.splitlines():
        words = line.partition(";")[0].split()
        if not words:
            continue
        if len(words) == 1:
            found.append(_bare(words[0], port))
        elif words[-2].upper() in ("A", "AAAA"):
            found.append(Endpoint(str(ip_address(words[-1])), port))
    if not found:
        raise ValueError("no address stands here: expected A or AAAA records as in a root hints file")
    return tuple(dict.fromkeys(found))


def _bare(word: str, port: int) -> Endpoint:
    from nameserver.migrate.asking.servers import parse_server

    server = parse_server(word, port)
    if server.endpoint is None:
        raise ValueError(f"{word} is a name; the walk begins at addresses")
    return server.endpoint
