"""What a worker needs to know of the configuration, as JSON for the channel: no secret touches argv or environment."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from ipaddress import ip_network
from secrets import token_bytes
from typing import Any

from nameserver.config.model import Certificate, Config, ServerConfig, ServerTls, ZoneConfig
from nameserver.config.notify_acl import notify_acl
from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import QuerySettings
from nameserver.query.rate_limit import RateLimiter, RateLimits
from nameserver.wire.cookie import SECRET_SIZE
from nameserver.wire.tsig import TsigKey

Json = dict[str, Any]

ACLS_KEPT = 1000  # thousands of zones have a few access lists


def encode_server(server: ServerConfig) -> Json:
    """The settings of `[server]` that workers act on."""
    return {
        "nsid": server.nsid.hex(),
        "version": server.version,
        "identity": server.identity,
        "max_udp_size": server.max_udp_size,
        "minimal_responses": server.minimal_responses,
        "cookie_secrets": [secret.hex() for secret in _cookie_secrets(server)],
        "require_cookies": server.require_cookies,
        "rate_limit": asdict(server.rate_limit) | {"exempt": [str(network) for network in server.rate_limit.exempt]},
        "tcp_idle_timeout": server.tcp_idle_timeout,
        "tcp_message_timeout": server.tcp_message_timeout,
        "tcp_max_clients": server.tcp_max_clients,
        "tcp_max_clients_per_address": server.tcp_max_clients_per_address,
        "transfers_out": {
            "at_once": server.transfers_out,
            "per_address": server.transfers_out_per_address,
            "wait": server.transfers_out_wait,
            "idle_timeout": server.transfers_out_idle_timeout,
            "min_rate_bytes": server.transfers_out_min_rate_bytes,
            "min_rate_interval": server.transfers_out_min_rate_interval,
            "total_timeout": server.transfers_out_total_timeout,
        },
    }


def _cookie_secrets(server: ServerConfig) -> tuple[bytes, ...]:
    """Those configured, or one for all workers of this run, or none."""
    return (server.cookie_secrets or (token_bytes(SECRET_SIZE),)) if server.cookies else ()


def decode_query_settings(settings: Json) -> QuerySettings:
    """What answers depend on, from the settings of `[server]`."""
    return QuerySettings(
        nsid=bytes.fromhex(settings["nsid"]),
        version=settings["version"],
        identity=settings["identity"],
        max_udp_size=settings["max_udp_size"],
        minimal_responses=settings["minimal_responses"],
        cookie_secrets=tuple(map(bytes.fromhex, settings["cookie_secrets"])),
        require_cookies=settings["require_cookies"],
        tcp_idle_timeout=settings["tcp_idle_timeout"],
    )


def decode_limiter(settings: Json) -> RateLimiter | None:
    """The table of response rate limits, where there are any. Each worker has its own, for its share of the queries."""
    exempt = tuple(map(ip_network, settings["rate_limit"]["exempt"]))
    limits = RateLimits(**settings["rate_limit"] | {"exempt": exempt})
    return RateLimiter(limits, token_bytes(16)) if limits.rate else None


def encode_keys(config: Config) -> list[list[str]]:
    """Every TSIG key: name, algorithm, secret."""
    return [[key.name.hex(), key.algorithm, base64.b64encode(key.secret).decode()] for key in config.keys.values()]


def decode_keys(rows: list[list[str]]) -> dict[bytes, TsigKey]:
    """The inverse, by folded key name."""
    keys = (TsigKey(bytes.fromhex(name), algorithm, base64.b64decode(secret)) for name, algorithm, secret in rows)
    return {key.name: key for key in keys}


def encode_tls(settings: ServerTls) -> Json:
    """What clients are received with."""
    return asdict(settings)


def decode_tls(settings: Json) -> ServerTls:
    """The inverse."""
    return ServerTls(**settings | {"certificate": Certificate(**settings["certificate"])})


def encode_zones(zones: Iterable[ZoneConfig], paused: Mapping[bytes, int] | None = None) -> list[Json]:
    """Types and access lists, each with the zones that have them; primaries are part of who may notify.

    `paused` has the RCODE that queries get, by zone; 0 where they get answers. Thousands of zones have what is in their
    template, the very same objects: what is said of them is said once.
    """
    alike: dict[tuple[str, int, int, int, int], Json] = {}
    for zone in zones:
        rcode = paused.get(zone.name, 0) if paused else 0
        key = zone.type, rcode, id(zone.primaries), id(zone.allow_notify), id(zone.allow_transfer)
        if key not in alike:
            alike[key] = {
                "type": zone.type,
                "paused": rcode,
                "allow_transfer": _encode_acl(zone.allow_transfer),
                "allow_notify": _encode_acl(notify_acl(zone)),
                "zones": [],
            }
        alike[key]["zones"].append((zone.name.hex(), zone.text))
    return list(alike.values())


@lru_cache(ACLS_KEPT)
def _encode_acl(acl: Acl) -> list[list[Any]]:
    return [
        [
            None if row.network is None else str(row.network),
            None if row.key is None else row.key.hex(),
            *((row.certificate_name, row.certificate_pin.hex()) if row.tls else ()),
        ]
        for row in acl.rows
    ]


def decode_acl(rows: list[list[Any]]) -> Acl:
    """An access list from its rows: one and the same wherever it is the same."""
    return _acl(tuple(map(tuple, rows)))


@lru_cache(ACLS_KEPT)
def _acl(rows: tuple[tuple[Any, ...], ...]) -> Acl:
    return Acl(
        tuple(
            AclRow(
                None if network is None else ip_network(network),
                None if key is None else bytes.fromhex(key),
                bool(tls),
                *((tls[0], bytes.fromhex(tls[1])) if tls else ()),
            )
            for network, key, *tls in rows
        )
    )
