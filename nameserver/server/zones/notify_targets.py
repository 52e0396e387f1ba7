"""Whom a zone's changes are told to: `also-notify`, and with `notify-ns` the servers that the zone itself names.

Of the latter these are left out: whoever an `also-notify` remote is, the zone's primaries (what we have is theirs), and
we ourselves. One that is a configured remote at its address is told as that remote: by its key, from its source.
"""

import logging
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import StoreError
from nameserver.server.sockets import is_local
from nameserver.server.zones.publisher import Publisher
from nameserver.transfer.notify_set import addresses_of, servers_named
from nameserver.wire import names

PORT = 53

log = logging.getLogger("nameserver.notify")


class NotifyTargets:
    """Looks targets up. `remotes` are those of the configuration, as it is now; `port` is where NS targets listen."""

    def __init__(self, publisher: Publisher, listen: Iterable[Endpoint], port: int = PORT) -> None:
        self._publisher = publisher
        self._listen = tuple(listen)
        self._port = port
        self.remotes: Mapping[str, Remote] = {}

    async def of(self, config: ZoneConfig, soa_rdata: bytes) -> tuple[Remote, ...]:
        """Everyone who is to be told of this zone's version."""
        if not config.notify_ns:
            return config.also_notify
        try:
            hosts = await self._publisher.in_store_thread(self._hosts, config.name, soa_rdata)
        except StoreError as error:
            log.warning("zone %s: only also-notify is told, its NS records cannot be read: %s", config.text, error)
            return config.also_notify
        by_address = {each: remote for remote in self.remotes.values() for each in self._where_named(remote)}
        by_address |= {each: remote for remote in self.remotes.values() for each in remote.addresses}
        taken = {each for remote in (*config.also_notify, *config.primaries) for each in self._where_named(remote)}
        found: list[Remote] = []
        for text, addresses in hosts:
            endpoints = tuple(Endpoint(address, self._port) for address in addresses)
            if not endpoints or not taken.isdisjoint(endpoints) or any(map(self._is_ourselves, endpoints)):
                continue
            known = next(filter(None, map(by_address.get, endpoints)), None)
            remote = known or Remote(f"NS {text}", endpoints)
            taken.update(self._where_named(remote))
            found.append(remote)
        return (*config.also_notify, *found)

    def _where_named(self, remote: Remote) -> set[Endpoint]:
        """Its addresses, and those of one with TLS also as NS records name them: it must not be told in plain."""
        named = () if remote.tls is None else remote.addresses
        return {*remote.addresses, *(each._replace(port=self._port) for each in named)}

    def _hosts(self, name: bytes, soa_rdata: bytes) -> list[tuple[str, list[str]]]:
        """In the store's thread: the servers that a zone names, each with its addresses as far as they are known."""
        held = self._publisher.stored

        def node_at(zone: bytes, key: bytes) -> bytes | None:
            return self._publisher.node_reader(zone)(key) if zone in held else None

        apex_node = node_at(name, b"")
        if apex_node is None:
            return []
        named = servers_named(apex_node, name, soa_rdata)
        return [(names.to_text(host), list(map(str, addresses_of(host, node_at)))) for host in named]

    def _is_ourselves(self, endpoint: Endpoint) -> bool:
        """Whether we listen there: at this address, or at all addresses of which this is one of ours."""
        for ours in self._listen:
            if ours.port != endpoint.port or (":" in ours.host) != (":" in endpoint.host):
                continue
            if ours.host == endpoint.host or (ip_address(ours.host).is_unspecified and is_local(endpoint.host)):
                return True
        return False
