"""What a worker needs to know of the configuration, as JSON for the channel: no secret touches argv or environment."""

import base64
from ipaddress import ip_network
from typing import Any

from nameserver.config.load import notify_acl
from nameserver.config.model import Config, ServerConfig, ZoneConfig
from nameserver.query.acl import Acl, AclRow
from nameserver.wire.tsig import TsigKey

Json = dict[str, Any]


def encode_server(server: ServerConfig) -> Json:
    """The settings of `[server]` that workers act on."""
    return {
        "nsid": server.nsid.hex(),
        "version": server.version,
        "identity": server.identity,
        "max_udp_size": server.max_udp_size,
        "tcp_idle_timeout": server.tcp_idle_timeout,
        "tcp_max_clients": server.tcp_max_clients,
        "tcp_max_clients_per_address": server.tcp_max_clients_per_address,
        "transfers_out": server.transfers_out,
    }


def encode_keys(config: Config) -> list[list[str]]:
    """Every TSIG key: name, algorithm, secret."""
    return [[key.name.hex(), key.algorithm, base64.b64encode(key.secret).decode()] for key in config.keys.values()]


def decode_keys(rows: list[list[str]]) -> dict[bytes, TsigKey]:
    """The inverse, by folded key name."""
    keys = (TsigKey(bytes.fromhex(name), algorithm, base64.b64decode(secret)) for name, algorithm, secret in rows)
    return {key.name: key for key in keys}


def encode_zone(zone: ZoneConfig) -> Json:
    """One zone's access lists; primaries are part of who may notify."""
    return {
        "name": zone.name.hex(),
        "text": zone.text,
        "type": zone.type,
        "allow_transfer": _encode_acl(zone.allow_transfer),
        "allow_notify": _encode_acl(notify_acl(zone)),
    }


def _encode_acl(acl: Acl) -> list[list[str | None]]:
    return [
        [None if row.network is None else str(row.network), None if row.key is None else row.key.hex()]
        for row in acl.rows
    ]


def decode_acl(rows: list[list[str | None]]) -> Acl:
    """An access list from its rows."""
    return Acl(
        tuple(
            AclRow(
                None if network is None else ip_network(network),
                None if key is None else bytes.fromhex(key),
            )
            for network, key in rows
        )
    )
