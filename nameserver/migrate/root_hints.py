"""Root hints as a file: where the walk down the tree begins."""

from ipaddress import ip_address

from nameserver.config.model import Endpoint


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
    from nameserver.migrate.servers import parse_server

    server = parse_server(word, port)
    if server.endpoint is None:
        raise ValueError(f"{word} is a name; the walk begins at addresses")
    return server.endpoint
