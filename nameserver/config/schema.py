"""Every key the configuration knows: its table, the field it fills, its type and its range.

The one place to add a key. `field` is the attribute in nameserver.config.model; a dot leads into a part of a zone
("timers.min_refresh"). conf/nameserver.toml describes each of them to people, which a test enforces.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nameserver.config import values
from nameserver.config.suggest import did_you_mean, nearest
from nameserver.config.values import Convert

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
YEAR = 365 * DAY
KIB, GIB = 1024, 1024**3
_MOST_RECORDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table."""

    field: str
    convert: Convert
    # A list whose elements are judged further when it is read: a bad one must not hide the faults of the others.
    judged_further: bool = False


_NAMES = values.list_of(values.non_empty, example='["primary-a"]', unique=True)
_PRIMARIES = values.list_of(values.non_empty, example='["primary-a"]', least=1, unique=True)
_ENDPOINTS = values.list_of(values.endpoint(), example='["0.0.0.0:53", "[::]:53"]', least=1, unique=True)
_TLS_ENDPOINTS = values.list_of(values.endpoint(values.TLS_PORT), example='["0.0.0.0:853", "[::]:853"]', unique=True)
_PINS = values.one_or_two(values.pin, example='"BASE64 OF SHA-256"')
_PEERS = values.list_of(values.peer, example='["192.0.2.1"]', least=1, unique=True)
_NETWORKS = values.list_of(values.network_not_any, example='["192.0.2.0/24"]')
_KEYS = values.one_or_two(values.non_empty, example='["new-key", "old-key"]')


def _row(value: object) -> dict[str, Any]:
    return values.table(value, example='such as { address = "192.0.2.0/24", key = "transfer-key" }')


_ROWS = values.list_of(_row, example='[{ address = "192.0.2.0/24", key = "transfer-key" }]')

SERVER: Mapping[str, Setting] = {
    "listen": Setting("listen", _ENDPOINTS),
    "listen-tls": Setting("listen_tls", _TLS_ENDPOINTS),
    "tls-certificate": Setting("tls.certificate", values.non_empty),
    "tls-key": Setting("tls.key", values.non_empty),
    "tls-client-ca": Setting("tls.client_ca", values.non_empty),
    "tls-require-client-certificate": Setting("tls.require_client_certificate", values.boolean),
    "workers": Setting("workers", values.integer(0, 1024)),
    "state-dir": Setting("state_dir", values.non_empty),
    "control": Setting("control", values.non_empty),
    "http": Setting("http", values.http_endpoint),
    "nsid": Setting("nsid", values.identifier),
    "version": Setting("version", values.short_text(255)),
    "identity": Setting("identity", values.short_text(255)),
    "max-udp-size": Setting("max_udp_size", values.size(512, 4096)),
    "minimal-responses": Setting("minimal_responses", values.boolean),
    "cookies": Setting("cookies", values.boolean),
    "cookie-secret-file": Setting("cookie_secrets", values.non_empty),
    "require-cookies": Setting("require_cookies", values.boolean),
    "rate-limit": Setting("rate_limit.rate", values.integer(0, 1_000_000)),
    "rate-limit-slip": Setting("rate_limit.slip", values.integer(0, 10)),
    "rate-limit-window": Setting("rate_limit.window", values.seconds(1, 3600)),
    "rate-limit-ipv4-prefix": Setting("rate_limit.ipv4_prefix", values.integer(1, 32)),
    "rate-limit-ipv6-prefix": Setting("rate_limit.ipv6_prefix", values.integer(1, 128)),
    "rate-limit-exempt": Setting("rate_limit.exempt", _NETWORKS),
    "rate-limit-table": Setting("rate_limit.places", values.integer(1024, 1 << 24)),
    "tcp-idle-timeout": Setting("tcp_idle_timeout", values.duration(0.1 * SECOND, HOUR)),
    "tcp-message-timeout": Setting("tcp_message_timeout", values.duration(0.1 * SECOND, HOUR)),
    "tcp-max-clients": Setting("tcp_max_clients", values.integer(1, 1_000_000)),
    "tcp-max-clients-per-address": Setting("tcp_max_clients_per_address", values.integer(1, 1_000_000)),
    "transfers-in": Setting("transfers_in", values.integer(1, 10_000)),
    "transfers-per-primary": Setting("transfers_per_primary", values.integer(1, 10_000)),
    "transfers-out": Setting("transfers_out", values.integer(1, 10_000)),
    "transfers-out-per-address": Setting("transfers_out_per_address", values.integer(1, 10_000)),
    "transfers-out-wait": Setting("transfers_out_wait", values.duration(0.0, 10 * MINUTE)),
    "transfers-out-idle-timeout": Setting("transfers_out_idle_timeout", values.duration(0.1 * SECOND, HOUR)),
    "transfers-out-min-rate-bytes": Setting("transfers_out_min_rate_bytes", values.size(0, GIB)),
    "transfers-out-min-rate-interval": Setting("transfers_out_min_rate_interval", values.duration(SECOND, DAY)),
    "transfers-out-total-timeout": Setting("transfers_out_total_timeout", values.duration(SECOND, 7 * DAY)),
    "soa-checks": Setting("soa_checks", values.integer(1, 10_000)),
    "soa-rate": Setting("soa_rate", values.integer(1, 1_000_000)),
    "notify-rate": Setting("notify_rate", values.integer(1, 1_000_000)),
    "silent-primary-time": Setting("silent_primary_time", values.duration(0.0, DAY)),
    "per-zone-metrics": Setting("per_zone_metrics", values.boolean),
    "log-format": Setting("log_format", values.choice("plain", "json")),
    "log-level": Setting("log_level", values.choice("debug", "info", "warning", "error")),
    "event-loop": Setting("event_loop", values.choice("auto", "uvloop", "asyncio")),
}

KEY: Mapping[str, Setting] = {
    "algorithm": Setting("algorithm", values.non_empty),
    "secret": Setting("secret", lambda value: value),  # judged by nameserver.config.keys, which never shows it
    "secret-file": Setting("secret_file", values.non_empty),
    "allow-weak": Setting("allow_weak", values.boolean),
}

TLS: Mapping[str, Setting] = {
    "server-name": Setting("server_name", values.host_name),
    "pin": Setting("pins", _PINS),
    "ca": Setting("ca", values.non_empty),
    "require-alpn": Setting("require_alpn", values.boolean),
    "certificate": Setting("certificate", values.non_empty),
    "key": Setting("key", values.non_empty),
}

REMOTE: Mapping[str, Setting] = {
    "address": Setting("addresses", _PEERS),
    "key": Setting("keys", _KEYS, judged_further=True),
    "request-ixfr": Setting("request_ixfr", values.boolean),
    "source": Setting("source", values.host),
    "tls": Setting("tls", values.non_empty),
}

ROW: Mapping[str, Setting] = {
    "address": Setting("network", values.network),
    "key": Setting("key", values.non_empty),
    "remote": Setting("remote", values.non_empty),
    "public": Setting("public", values.boolean),
    "tls": Setting("tls", values.boolean),
    "certificate-name": Setting("certificate_name", values.host_name),
    "certificate-pin": Setting("certificate_pin", values.pin),
}

TEMPLATE: Mapping[str, Setting] = {
    "type": Setting("type", values.choice("secondary", "primary")),
    "file": Setting("file", values.non_empty),
    "primaries": Setting("primaries", _PRIMARIES, judged_further=True),
    "also-notify": Setting("also_notify", _NAMES, judged_further=True),
    "notify-ns": Setting("notify_ns", values.boolean),
    "check-downstreams": Setting("check_downstreams", values.boolean),
    "allow-notify": Setting("allow_notify", _ROWS, judged_further=True),
    "allow-transfer": Setting("allow_transfer", _ROWS, judged_further=True),
    "min-refresh-time": Setting("timers.min_refresh", values.duration(SECOND, YEAR)),
    "max-refresh-time": Setting("timers.max_refresh", values.duration(SECOND, YEAR)),
    "min-retry-time": Setting("timers.min_retry", values.duration(SECOND, YEAR)),
    "max-retry-time": Setting("timers.max_retry", values.duration(SECOND, YEAR)),
    "min-expire-time": Setting("timers.min_expire", values.duration(SECOND, YEAR)),
    "max-expire-time": Setting("timers.max_expire", values.duration(SECOND, YEAR)),
    "jitter": Setting("timers.jitter", values.number(0.0, 0.5)),
    "max-zone-size": Setting("limits.max_bytes", values.size(KIB, 64 * GIB)),
    "max-zone-records": Setting("limits.max_records", values.integer(1, _MOST_RECORDS)),
    "max-rrset-records": Setting("limits.max_rrset_records", values.integer(1, 65535)),
    "max-types-per-name": Setting("limits.max_types_per_name", values.integer(1, 65535)),
    "max-history-changes": Setting("history.max_changes", values.integer(0, 65535)),
    "max-history-age": Setting("history.max_age", values.duration(MINUTE, 10 * YEAR)),
    "max-history-size": Setting("history.max_size", values.size(0, GIB)),
    "connect-timeout": Setting("pull.connect_timeout", values.duration(0.1 * SECOND, 10 * MINUTE)),
    "idle-timeout": Setting("pull.idle_timeout", values.duration(0.1 * SECOND, HOUR)),
    "total-timeout": Setting("pull.total_timeout", values.duration(SECOND, 7 * DAY)),
    "min-rate-bytes": Setting("pull.min_rate_bytes", values.size(0, GIB)),
    "min-rate-interval": Setting("pull.min_rate_interval", values.duration(SECOND, DAY)),
    "udp-timeout": Setting("pull.udp_timeout", values.duration(0.05 * SECOND, MINUTE)),
    "udp-tries": Setting("pull.udp_tries", values.integer(1, 20)),
}

ZONE: Mapping[str, Setting] = {"template": Setting("template", values.non_empty), **TEMPLATE}

# Pairs of which the first may not exceed the second.
ORDERED = (
    ("min-refresh-time", "max-refresh-time"),
    ("min-retry-time", "max-retry-time"),
    ("min-expire-time", "max-expire-time"),
    ("idle-timeout", "total-timeout"),
)

# The tables of named entries; [server] is the one without names.
TABLES: Mapping[str, Mapping[str, Setting]] = {
    "key": KEY,
    "tls": TLS,
    "remote": REMOTE,
    "template": TEMPLATE,
    "zone": ZONE,
}
TOP_LEVEL = ("include", "server", *TABLES)


def unknown_key(key: str, known: Collection[str]) -> str:
    """The sentence for a key that its table does not know: the nearest that does, or the table it belongs in."""
    guess = did_you_mean(key, known)
    if guess.startswith(", did"):
        return f"unknown key{guess}"
    return f"unknown key{_belongs(key) or guess}"


def unknown_at_top(key: str) -> str:
    """The sentence for a key that stands above all tables: mostly the table's head is missing above it."""
    exactly = _belongs(key)
    if exactly:
        return f"unknown key{exactly}"
    guess = did_you_mean(key, TOP_LEVEL)
    of_server = nearest(key, SERVER)
    if of_server is not None and not guess.startswith(", did"):
        guess = f', did you mean "{of_server}" in [server]?'
    return f"unknown key{guess}"


def _belongs(key: str) -> str:
    """', it belongs in …' for a key that some table knows, else nothing."""
    if key in SERVER:
        return ", it belongs in [server]"
    table = next((table for table in ("key", "tls", "remote", "zone") if key in TABLES[table]), None)
    return "" if table is None else f", it belongs in a [{table}.…] table"
