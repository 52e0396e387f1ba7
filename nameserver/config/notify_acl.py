"""Who may send NOTIFY for a zone, of what its configuration says. Apart from the reading of configurations, which the
answering processes do without.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from nameserver.config.model import Remote, ZoneConfig
from nameserver.query.acl import Acl, AclRow


def notify_acl(zone: ZoneConfig) -> Acl:
    """Who may send NOTIFY for a zone: its primaries, under any of their keys if they have some, and `allow-notify`."""
    rows = [row for primary in zone.primaries for row in rows_of(primary)]
    return Acl((*rows, *zone.allow_notify.rows))


def rows_of(remote: Remote, key: bytes | None = None) -> list[AclRow]:
    """Each of a remote's addresses, under any of its keys; `key` takes the place of all of them."""
    accepted = [key] if key is not None or not remote.keys else [each.name for each in remote.keys]
    return [AclRow(_network(endpoint.host), each) for endpoint in remote.addresses for each in accepted]


@lru_cache(1000)
def _network(host: str) -> IPv4Network | IPv6Network:
    """Thousands of zones have the same few primaries."""
    return ip_network(host)
